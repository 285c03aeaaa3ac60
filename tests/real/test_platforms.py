"""The code for systems that the tests do not run on is at least type-checked as these systems see it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SYSTEMS = {"darwin": "linux|windows", "win32": "linux|macos|posix"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_types(system: str, tmp_path: Path) -> None:
    others = rf"runner/system/({SYSTEMS[system]})\.py"
    options = ["--platform", system, "--exclude", others, "--cache-dir", str(tmp_path)]
    command = [sys.executable, "-m", "mypy", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=280)
    assert done.returncode == 0, f"{system}\n{done.stdout}{done.stderr}"
