"""What is only seen with another process: an interpreter without matplotlib, a neighbour that spins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from runner.compare.disturbance import Disturbances


def test_without_matplotlib_the_extra_is_named() -> None:
    """In an interpreter of its own that cannot import it."""
    code = """
import sys
sys.modules["matplotlib"] = None
from modelstore.errors import UserError
from runner.compare.export import render
from tests.comparisons import example
assert render(example(), "csv") and render(example(), "md") and render(example(), "json")
for name in ("html", "svg"):
    try:
        render(example(), name)
    except UserError as error:
        print(error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.count("pip install 'nybble[report]'") == 2, done.stderr


def test_a_spinning_neighbour_is_named(tmp_path: Path) -> None:
    # Started by a process that ends at once, so that it is nobody's child here.
    start = (
        "import subprocess, sys; nowhere = subprocess.DEVNULL;"
        "spin = [sys.executable, '-c', 'while True: pass'];"
        "print(subprocess.Popen(spin, stdin=nowhere, stdout=nowhere, stderr=nowhere).pid)"
    )
    done = subprocess.run([sys.executable, "-c", start], check=True, capture_output=True, text=True)
    spinning = psutil.Process(int(done.stdout))
    try:
        disturbances = Disturbances(tmp_path)
        worked_s = spinning.cpu_times().user
        while spinning.cpu_times().user < worked_s + 0.3:
            pass
        disturbances.look()
    finally:
        spinning.kill()
    (warning,) = disturbances.warnings()
    assert spinning.pid in {pid for pid, _ in disturbances.busiest}
    assert "other processes took the CPU meanwhile" in warning
