"""The real command `nybble` in a real process, for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

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
