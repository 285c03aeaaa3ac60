"""The daemon's log: one text file, rotated by size, without prompts, answers or secrets."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from runner.paths import make_private
from runner.text import clean

_ROTATE_BYTES = 5_000_000
_KEPT_FILES = 3
_TAIL_BLOCK_BYTES = 1_000_000
_FOLLOW_S = 0.2


class _Plain(logging.Formatter):
    """One line per record, tracebacks below; nothing in it can steer the terminal that shows the log."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """With the offset from UTC: in autumn an hour is there twice."""
        return datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "milliseconds")


def configure(log_file: Path, *, to_stderr: bool) -> None:
    """Send this process's logging to `log_file`, and to stderr if asked for."""
    make_private(log_file.parent)
    rotating = RotatingFileHandler(
        log_file, maxBytes=_ROTATE_BYTES, backupCount=_KEPT_FILES, encoding="utf-8", delay=True
    )
    handlers: list[logging.Handler] = [rotating, *([logging.StreamHandler()] if to_stderr else [])]
    for handler in handlers:
        handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # Libraries log addresses with signed queries at INFO.
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    for ours in ("runner", "modelstore", "native"):
        logging.getLogger(ours).setLevel(logging.INFO)
    # A full disk costs log lines, never a request.
    logging.raiseExceptions = False


def tail(log_file: Path, lines: int) -> list[str]:
    """Up to `lines` last lines, of the last megabyte; [] if there is no log."""
    return _tail(log_file, lines)[0]


def follow(log_file: Path, lines: int) -> Iterator[str]:
    """The last lines, then those that are appended, for ever, through rotations."""
    last, offset = _tail(log_file, lines)
    yield from last
    pending = b""
    while True:
        added, offset = _added(log_file, offset)
        if not added:
            time.sleep(_FOLLOW_S)
            continue
        *complete, pending = (pending + added).split(b"\n")
        yield from (clean(line.decode("utf-8", "replace")) for line in complete)


def _added(log_file: Path, offset: int) -> tuple[bytes, int]:
    """What was written behind `offset`, and the offset of the end."""
    try:
        size = log_file.stat().st_size
        if size == offset:
            return b"", offset
        if size > offset:
            return _read(log_file, offset)
        # Shorter than what was read: the log was rotated, and this is a new file.
        older = log_file.with_name(f"{log_file.name}.1")
        rest = _read(older, offset)[0] if older.exists() else b""
        added, end = _read(log_file, 0)
        return rest + added, end
    except FileNotFoundError:  # there is none yet, or one is being rotated
        return b"", offset


def _read(log_file: Path, offset: int) -> tuple[bytes, int]:
    """From `offset` on, and the offset of the end."""
    with log_file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(), stream.tell()


def _tail(log_file: Path, lines: int) -> tuple[list[str], int]:
    """The lines, and the offset of the end."""
    try:
        with log_file.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BLOCK_BYTES))
            text = clean(stream.read().decode("utf-8", "replace"))
            end = stream.tell()
    except FileNotFoundError:
        return [], 0
    return (text.splitlines()[-lines:] if lines else []), end
