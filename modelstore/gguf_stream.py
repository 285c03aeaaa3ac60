"""Bounded reading of GGUF's primitive values from a binary stream."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from modelstore.errors import InvalidModel
from modelstore.header import Scalar, Value

# Largest real headers: about 20 MB (vocabulary and merges of 260,000 tokens). A hostile one may cost as
# much memory as some ten times its bytes, and no more.
HEADER_LIMIT_BYTES = 64 * 1024**2
STRING_LIMIT_BYTES = 8 * 1024**2
ELEMENTS_LIMIT = 4_000_000

_CHUNK_BYTES = 256 * 1024
_STRING, _ARRAY = 8, 9
_LENGTH = struct.Struct("<Q")
_FORMATS = {
    0: ("u8", "B"), 1: ("i8", "b"), 2: ("u16", "H"), 3: ("i16", "h"), 4: ("u32", "I"), 5: ("i32", "i"),
    6: ("f32", "f"), 7: ("bool", "?"), 10: ("u64", "Q"), 11: ("i64", "q"), 12: ("f64", "d"),
}  # fmt: skip
INTEGERS = ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")


@dataclass(frozen=True, slots=True)
class Entry:
    """A metadata value, its type ("u32", "string[]"), and the byte offset where it stands."""

    value: Value
    type: str
    offset: int


def refuse(reason: str, offset: int, hint: str | None = None) -> NoReturn:
    raise InvalidModel(f"not a usable GGUF file: {reason} at byte {offset:,}", hint=hint)


class GgufStream:
    """A cursor over the stream. Every method raises InvalidModel where the file ends or breaks a limit."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._chunk = b""
        self._at = 0
        self._chunk_offset = 0
        self._elements = 0

    @property
    def offset(self) -> int:
        return self._chunk_offset + self._at

    def take(self, count: int) -> bytes:
        self._ensure(count)
        self._at += count
        return self._chunk[self._at - count : self._at]

    def number(self, code: str) -> int:
        """One little-endian whole number of `struct` type `code`."""
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return int(value)

    def string(self, limit_bytes: int = STRING_LIMIT_BYTES) -> str:
        """A string that must be UTF-8."""
        start = self.offset
        try:
            return self._string_bytes(limit_bytes).decode()
        except UnicodeDecodeError:
            refuse("string that is not UTF-8", start)

    def entry(self) -> Entry:
        """The typed value of one metadata key."""
        start = self.offset
        kind = self.number("I")
        if kind == _ARRAY:
            return self._array(start)
        if kind == _STRING:
            return Entry(self.string(), "string", start)
        name, code = self._format(kind, start)
        (value,) = self._numbers(code, 1)
        return Entry(value, name, start)

    def _array(self, start: int) -> Entry:
        kind, count = self.number("I"), self.number("Q")
        if kind == _ARRAY:
            refuse("array of arrays", start)
        self._elements += count
        if self._elements > ELEMENTS_LIMIT:
            refuse(f"array of {count:,} elements (more than {ELEMENTS_LIMIT:,} in all)", start)
        if kind == _STRING:
            # Vocabularies hold broken characters on purpose: bytes of which several make one character.
            strings = tuple(self._string_bytes().decode("utf-8", "replace") for _ in range(count))
            return Entry(strings, "string[]", start)
        name, code = self._format(kind, start)
        return Entry(self._numbers(code, count), f"{name}[]", start)

    def _format(self, kind: int, start: int) -> tuple[str, str]:
        if kind not in _FORMATS:
            refuse(f"unknown value type {kind}", start)
        return _FORMATS[kind]

    def _numbers(self, code: str, count: int) -> tuple[Scalar, ...]:
        layout = struct.Struct(f"<{count}{code}")
        return layout.unpack(self.take(layout.size))

    def _string_bytes(self, limit_bytes: int = STRING_LIMIT_BYTES) -> bytes:
        self._ensure(8)
        (length,) = _LENGTH.unpack_from(self._chunk, self._at)
        if length > limit_bytes:
            refuse(f"string of {length:,} bytes (at most {limit_bytes:,})", self.offset)
        self._at += 8
        return self.take(length)

    def _ensure(self, count: int) -> None:
        """Have `count` bytes from the cursor on in the chunk."""
        if len(self._chunk) - self._at >= count:
            return
        if self.offset + count > HEADER_LIMIT_BYTES:
            refuse(f"header of more than {HEADER_LIMIT_BYTES:,} bytes", self.offset)
        parts = [self._chunk[self._at :]]
        self._chunk_offset, self._at = self.offset, 0
        have = len(parts[0])
        while have < count:
            part = self._stream.read(max(count - have, _CHUNK_BYTES))
            if not part:
                self._chunk = b"".join(parts)
                end = self._chunk_offset + have
                refuse("the file ends inside its header", end, "The file is incomplete: fetch it again.")
            parts.append(part)
            have += len(part)
        self._chunk = b"".join(parts)
