"""The real command `nybble` in a real process, for tests."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from runner.cli import main
from tests.daemons import NYBBLE


@dataclass(frozen=True, slots=True)
class Finished:
    code: int
    stdout: str
    stderr: str


def start(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A command with pipes, in the environment of the test and what is added to it."""
    return subprocess.Popen(
        [*NYBBLE, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **(environment or {})},
    )


def finish(process: subprocess.Popen[str], stdin: str = "") -> Finished:
    stdout, stderr = process.communicate(stdin, timeout=60)
    return Finished(process.returncode, stdout, stderr)


def nybble(*arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Finished:
    return finish(start(*arguments, environment=environment), stdin)


def nybble_here(*arguments: str, stdin: str = "") -> Finished:
    """`nybble` without a process of its own, which is ten times as fast; for what ends by itself."""
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        patch.setattr(sys, "argv", ["nybble", *arguments])
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            code = main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return Finished(code, stdout.getvalue(), stderr.getvalue())
