"""Lint, format and types, so that the one test command covers them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fast.repository.test_sizes import ROOT

CHECKS = {
    "lint": ["ruff", "check", "--no-cache", "."],
    "format": ["ruff", "format", "--check", "--no-cache", "--exclude", "*.md", "."],
    "types": ["mypy"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_check(check: str) -> None:
    command = [sys.executable, "-m", *CHECKS[check]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=280)
    assert done.returncode == 0, f"{' '.join(command[1:])}\n{done.stdout}{done.stderr}"
