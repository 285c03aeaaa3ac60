"""Linux on x86-64: scratch memory of ggml's CPU kernels that begins with a cache line.

ggml takes it by C++'s `new`, which with the GNU C library begins 16 bytes behind one. So each vector of 64
bytes that AVX-512 kernels keep there lies in two cache lines, and reading 256 tokens behind 1,000 others
takes 1.06 to 1.11 times as long (`tests/bench/scratch.py`). There is no option for that, but a library calls
others through a table: its entry for `new[]` gets `valloc`, and the same `free` takes the memory back. A
table that is protected, or not as expected, stays as it is.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LIBRARY = "libggml-cpu"
_NEW = b"_Znam\0"

# The parts of ELF that are needed, as in the System V ABI and its supplement for this processor.
_ELF64 = b"\x7fELF\x02\x01"
_X86_64 = 62
_RELOCATIONS = 4
_TABLE_ENTRIES = (6, 7)
_SYMBOL_BYTES = 24
_SECTION = struct.Struct("<4xI16xQQI20x")
_RELOCATION = struct.Struct("<QII8x")


class _Section(NamedTuple):
    kind: int
    offset: int
    size: int
    link: int


class _Mapping(NamedTuple):
    """A part of a file in memory."""

    start: int
    end: int
    rights: str
    file_offset: int
    path: Path

    def holds(self, address: int | None, right: str) -> bool:
        return address is not None and self.start <= address < self.end and right in self.rights


@functools.cache
def align_scratch() -> None:
    """Once for a process, before something is computed."""
    if valloc := getattr(ctypes.CDLL(None), "valloc", None):
        for entry in new_entries():
            entry.value = ctypes.cast(valloc, ctypes.c_void_p).value


def new_entries() -> list[ctypes.c_void_p]:
    """The entries for `new[]` in ggml's table, which can be written; mostly one."""
    parts = list(_mappings())
    library = next((part for part in parts if part.path.name.startswith(_LIBRARY)), None)
    # One that was replaced meanwhile has another name here.
    if library is None or not library.path.is_file():
        return []
    base = library.start - library.file_offset
    addresses = [base + address for address in table_entries(library.path.read_bytes(), _NEW)]
    entries = [
        ctypes.c_void_p.from_address(address)
        for address in addresses
        if any(part.holds(address, "w") for part in parts)
    ]
    return [entry for entry in entries if any(part.holds(entry.value, "x") for part in parts)]


def _mappings() -> Iterator[_Mapping]:
    """Parts of files, and what else is in memory, by rising address."""
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        bounds, rights, offset, _device, _inode, *path = line.split(maxsplit=5)
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        yield _Mapping(start, end, rights, int(offset, 16), Path(*path))


def table_entries(elf: bytes, symbol: bytes) -> Iterator[int]:
    """Where the addresses of an imported function stand, counted from where the library begins in memory;
    none if it is no library for this processor. `symbol` ends with a zero byte."""
    if not elf.startswith(_ELF64) or struct.unpack_from("<H", elf, 18) != (_X86_64,):
        return
    (at,) = struct.unpack_from("<Q", elf, 40)
    (count,) = struct.unpack_from("<H", elf, 60)
    sections = [_Section(*_SECTION.unpack_from(elf, at + 64 * number)) for number in range(count)]
    for section in (each for each in sections if each.kind == _RELOCATIONS):
        symbols = sections[section.link]
        names = sections[symbols.link]
        for start in range(section.offset, section.offset + section.size, _RELOCATION.size):
            address, kind, index = _RELOCATION.unpack_from(elf, start)
            if kind in _TABLE_ENTRIES:
                (name,) = struct.unpack_from("<I", elf, symbols.offset + index * _SYMBOL_BYTES)
                if elf.startswith(symbol, names.offset + name):
                    yield address
