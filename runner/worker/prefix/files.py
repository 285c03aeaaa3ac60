"""A snapshot as a file: magic, checksum of all that follows, layout, sizes, tokens, states.

The checksum is a CRC-32: it finds damage, and nobody who could forge a file needs to.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from runner.worker.prefix.history import History
from runner.worker.prefix.index import TOKEN_BYTES
from runner.worker.prefix.snapshot import Checkpoint, Snapshot

_MAGIC = b"nyprefx1"
# Checksum; layout digest, bytes of tokens and of state, number of checkpoints; each one's length and bytes.
_CHECKSUM = struct.Struct("<I")
_SIZES = struct.Struct("<16sQQI")
_CHECKPOINT = struct.Struct("<QQ")
_MOST_CHECKPOINTS = 64
# Without it Windows would write line ends of its own.
_BINARY: int = getattr(os, "O_BINARY", 0)


class DamagedFile(Exception):
    """Not a snapshot, or not whole, or not of this layout."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a search needs to know of a file. `checkpoints` are their lengths in tokens and bytes."""

    path: Path
    layout: bytes
    tokens: bytes
    state_bytes: int
    checkpoints: tuple[tuple[int, int], ...]
    size_bytes: int

    def reach(self, history: History, shared: int) -> int:
        length = len(self.tokens) // TOKEN_BYTES
        return history.reach(length, shared, (taken for taken, _ in self.checkpoints))


def write(path: Path, snapshot: Snapshot, layout: bytes) -> Head:
    """Write the file whole or not at all; only this user can read it. Raises OSError."""
    parts: list[bytes | bytearray] = [
        _SIZES.pack(layout, len(snapshot.tokens), len(snapshot.state), len(snapshot.checkpoints))
    ]
    parts += [_CHECKPOINT.pack(each.length, len(each.state)) for each in snapshot.checkpoints]
    parts += [snapshot.tokens, snapshot.state]
    parts += [each.state for each in snapshot.checkpoints]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with os.fdopen(
            os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | _BINARY, 0o600), "wb"
        ) as file:
            file.write(_MAGIC + _CHECKSUM.pack(checksum))
            file.writelines(parts)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    return Head(
        path,
        layout,
        snapshot.tokens,
        len(snapshot.state),
        tuple((each.length, len(each.state)) for each in snapshot.checkpoints),
        len(_MAGIC) + _CHECKSUM.size + sum(map(len, parts)),
    )


def read_head(path: Path, layout: bytes) -> Head:
    """Raises DamagedFile for what cannot be one of ours, OSError. The checksum is not looked at."""
    with path.open("rb") as file:
        return _read_head(file, path, layout)


def read(path: Path, layout: bytes) -> Snapshot:
    """Raises DamagedFile, OSError."""
    with path.open("rb") as file:
        head = _read_head(file, path, layout)
        state = _read_bytes(file, head.state_bytes)
        checkpoints = [Checkpoint(length, _read_bytes(file, size)) for length, size in head.checkpoints]
        file.seek(len(_MAGIC))
        (expected,) = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
        checksum = zlib.crc32(file.read(head.size_bytes - _states_bytes(head) - file.tell()))
    for each in (state, *(checkpoint.state for checkpoint in checkpoints)):
        checksum = zlib.crc32(each, checksum)
    if checksum != expected:
        raise DamagedFile(f"{path.name}: wrong checksum")
    return Snapshot(head.tokens, state, tuple(checkpoints))


def _read_head(file: BinaryIO, path: Path, layout: bytes) -> Head:
    size_bytes = os.fstat(file.fileno()).st_size
    fixed = file.read(len(_MAGIC) + _CHECKSUM.size + _SIZES.size)
    if len(fixed) < len(_MAGIC) + _CHECKSUM.size + _SIZES.size or not fixed.startswith(_MAGIC):
        raise DamagedFile(f"{path.name}: not a saved prefix")
    written, tokens_bytes, state_bytes, count = _SIZES.unpack(fixed[-_SIZES.size :])
    if written != layout or count > _MOST_CHECKPOINTS or tokens_bytes + state_bytes > size_bytes:
        raise DamagedFile(f"{path.name}: not of this model")
    table = file.read(count * _CHECKPOINT.size)
    if len(table) != count * _CHECKPOINT.size:
        raise DamagedFile(f"{path.name}: cut off")
    checkpoints = tuple(_CHECKPOINT.iter_unpack(table))
    head = Head(path, layout, file.read(tokens_bytes), state_bytes, checkpoints, size_bytes)
    if file.tell() + _states_bytes(head) != size_bytes:
        raise DamagedFile(f"{path.name}: cut off")
    return head


def _states_bytes(head: Head) -> int:
    return head.state_bytes + sum(size for _, size in head.checkpoints)


def _read_bytes(file: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    if file.readinto(data) != size:  # type: ignore[attr-defined]
        raise DamagedFile("cut off")
    return data
