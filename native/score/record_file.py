"""The file that keeps records of the reference: blocks one after another, durable when `append` returns.

A JSON line with `format`, `vocabulary` (its digest) and `temperatures`; then for each block a JSON line with
`index`, `tokens` (digest of them and of where scoring begins), `rows` and `kld_at`, and that many `ROW`s.
What a killed process left half written is cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from native.score.record import ROW, Kept

_FORMAT = 1


class RecordUnusable(Exception):
    """The sentence says why."""


@dataclass(frozen=True, slots=True)
class KeptBlock:
    """`kld_at` for each temperature: the sum over the tokens."""

    rows: Kept
    kld_at: list[float]


@dataclass(frozen=True, slots=True)
class _Place:
    tokens: str
    rows: int
    kld_at: list[float]
    offset: int


class RecordFile:
    """Written and read by one process at a time."""

    def __init__(self, path: Path, temperatures: Sequence[float], vocabulary: str) -> None:
        """Raises RecordUnusable for a file of another vocabulary or format, and OSError."""
        self._header = {"format": _FORMAT, "vocabulary": vocabulary, "temperatures": list(temperatures)}
        self._path = path
        self._places: dict[int, _Place] = {}
        if path.exists() and path.stat().st_size:
            with path.open("r+b") as file:
                self._check(file.readline())
                file.truncate(self._find_blocks(file))
        else:
            self._add(json.dumps(self._header).encode() + b"\n")

    def append(self, index: int, tokens: Sequence[int], first_scored: int, block: KeptBlock) -> None:
        """Keep one block, unless it is there already."""
        digest = _digest(tokens, first_scored)
        if index in self._places and self._places[index].tokens == digest:
            return
        fields = {"index": index, "tokens": digest, "rows": len(block.rows), "kld_at": block.kld_at}
        head = json.dumps(fields).encode() + b"\n"
        start = self._add(head + block.rows.tobytes())
        self._places[index] = _Place(digest, len(block.rows), block.kld_at, start + len(head))

    def read(self, index: int, tokens: Sequence[int], first_scored: int) -> KeptBlock:
        """Raises RecordUnusable for a block that is not there."""
        place = self._places.get(index)
        if place is None or place.tokens != _digest(tokens, first_scored):
            raise RecordUnusable(f"the reference's record has no block {index} of these tokens")
        with self._path.open("rb") as file:
            file.seek(place.offset)
            data = file.read(place.rows * ROW.itemsize)
        return KeptBlock(np.frombuffer(data, ROW), place.kld_at)

    def _check(self, line: bytes) -> None:
        found = _parsed(line)
        if found is None:
            raise RecordUnusable("the reference's record is damaged")
        if found != self._header:
            what = "vocabulary" if found.get("format") == _FORMAT else "format"
            raise RecordUnusable(f"the reference's record has another {what}")

    def _find_blocks(self, file: IO[bytes]) -> int:
        """Where the last whole block ends."""
        size = os.fstat(file.fileno()).st_size
        whole = file.tell()
        while (fields := _parsed(file.readline())) is not None:
            start = file.tell()
            end = start + fields["rows"] * ROW.itemsize
            if end > size:
                break
            self._places[fields["index"]] = _Place(fields["tokens"], fields["rows"], fields["kld_at"], start)
            whole = file.seek(end)
        return whole

    def _add(self, data: bytes) -> int:
        """Where the file ended before."""
        with self._path.open("ab") as file:
            start = file.tell()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return start


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _digest(tokens: Sequence[int], first_scored: int) -> str:
    return hashlib.sha256(np.asarray([first_scored, *tokens], "<i4").tobytes()).hexdigest()
