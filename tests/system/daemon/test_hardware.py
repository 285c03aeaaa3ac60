"""What nybble knows of the computer, and the limits it puts on its children."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from native import child, topology
from native.snapshot import HardwareSnapshot
from runner import system
from runner.cli.doctor import compare_instruction_sets


def test_probe_describes_this_computer() -> None:
    done = subprocess.run(
        child.command("native.probe"), env=child.environment(), capture_output=True, text=True, check=True
    )
    snapshot = HardwareSnapshot.from_json(done.stdout)
    assert HardwareSnapshot.from_json(snapshot.to_json()) == snapshot
    (cpu,) = [device for device in snapshot.devices if device.kind == "cpu"]
    assert cpu.total_bytes == snapshot.memory.total_bytes <= psutil.virtual_memory().total
    assert 0 < snapshot.memory.available_bytes < snapshot.memory.total_bytes
    assert snapshot.instruction_sets and snapshot.llama_cpp_python in done.stdout


def test_affinity_limits_the_cores() -> None:
    allowed = psutil.Process().cpu_affinity()
    code = "from native import topology; print(topology.physical_cores())"
    process = subprocess.run(
        ["taskset", "-c", str(allowed[0]), sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "1\n"
    assert 1 <= topology.physical_cores() <= len(allowed)


def test_memory_limit_holds_and_leaves_what_was_asked() -> None:
    code = """
from runner import system
system.limit_resources(200_000_000)
half = bytearray(100_000_000)
try:
    bytearray(200_000_000)
except MemoryError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


@pytest.mark.parametrize(
    ("present", "state"),
    [(None, "ok"), (frozenset({"AVX2"}), "ok"), (frozenset({"AVX2", "AVX512"}), "warn")],
)
def test_unused_instructions_are_worth_a_warning(present: frozenset[str] | None, state: str) -> None:
    check = compare_instruction_sets(("AVX2", "REPACK"), present)
    assert check.state == state
    assert (check.hint is not None) == (state == "warn")


def test_processor_is_described_where_the_system_does() -> None:
    assert system.cpu_features() and system.cpu_model()
