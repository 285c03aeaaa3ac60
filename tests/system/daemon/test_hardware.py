"""What nybble knows of the computer, and the limits it puts on its children."""

from __future__ import annotations

import struct
import subprocess
import sys

import psutil
import pytest

from native import child, topology, windows_cores
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


@pytest.mark.parametrize(("classes", "fast"), [([1, 1, 0, 0, 0, 0], 2), ([0, 0, 0], None), ([], None)])
def test_fast_cores_as_windows_lists_them(classes: list[int], fast: int | None) -> None:
    """Records of 48 bytes, and of 64 for every other one: relationship, size, flags, efficiency class."""
    sizes = [48 + 16 * (number % 2) for number in range(len(classes))]
    records = [
        struct.pack("<IIBB", 0, size, 1, each).ljust(size, b"\xff")
        for size, each in zip(sizes, classes, strict=True)
    ]
    assert windows_cores.fast_cores(b"".join(records)) == fast


def test_lists_of_cpus_as_linux_writes_them() -> None:
    assert topology.cpus_of("0-3,8,10-11") == {0, 1, 2, 3, 8, 10, 11}


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
