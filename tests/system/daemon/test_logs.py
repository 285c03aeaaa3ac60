"""The daemon's log, written by a process of its own: logging is configured once for a process."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path

from runner import logs

LINES = 26_000
WRITE = """
import logging, sys
from pathlib import Path
from runner import logs
logs.configure(Path(sys.argv[1]), to_stderr=False)
log = logging.getLogger("runner.test")
for number in range(int(sys.argv[2])):
    log.info("line %d \\x1b[31m%s", number, "x" * 1000)
"""


def test_the_log_is_rotated_by_size_and_keeps_three_older_files(tmp_path: Path) -> None:
    log_file = tmp_path / "state" / "daemon.log"
    subprocess.run([sys.executable, "-c", WRITE, str(log_file), str(LINES)], check=True, timeout=60)
    files = sorted(log_file.parent.iterdir())
    assert [file.name for file in files] == ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"]
    assert all(4_900_000 < file.stat().st_size <= 5_000_000 for file in files[1:])
    assert files[0].stat().st_size <= 5_000_000
    assert f"line {LINES - 1} " in logs.tail(log_file, 1)[0]
    assert not any(b"\x1b" in file.read_bytes() for file in files)
    time, _, _ = logs.tail(log_file, 1)[0].partition(" INFO ")
    assert datetime.fromisoformat(time).utcoffset() is not None, "in autumn an hour is there twice"


def test_a_followed_log_loses_nothing_when_it_is_rotated(tmp_path: Path) -> None:
    log_file = tmp_path / "daemon.log"
    log_file.write_text("one\n")
    lines = logs.follow(log_file, 10)
    assert next(lines) == "one"
    log_file.write_text("one\ntwo, which comes just before\n")
    log_file.rename(tmp_path / "daemon.log.1")
    log_file.write_text("3\n")
    assert [next(lines), next(lines)] == ["two, which comes just before", "3"]
