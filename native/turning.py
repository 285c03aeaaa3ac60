"""States of sequences, for contexts of another number of streams, or with flash attention and without: these
keep their values transposed.

llama.cpp's layout, in the machine's byte order: a mark (u32), the sequence (i32), and one or two caches (that
of sliding windows comes second). Of each the number of streams (u32). For each stream the number of cells
(u32) and, if there are any: position, number of sequences, and sequence of each (i32, u32, i32); whether
values are transposed, and number of layers (u32); of each layer the keys: ggml's type (i32), bytes of a cell
(u64), the cells; of each layer the values: the same, or if transposed: ggml's type (i32), bytes of a number,
numbers in a cell (u32), and each number of all cells.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator

_COUNT, _TWO_COUNTS = struct.Struct("=I"), struct.Struct("=II")
_CELLS_HEAD, _COLUMNS_HEAD = struct.Struct("=iQ"), struct.Struct("=iII")
_CELL_BYTES = 12
TURNED_TYPES = ("f32", "f16", "bf16")
"""Of values. Others are blocks of numbers, which only flash attention can read."""
# Integers as long as numbers of these types, by ggml's numbers.
_INTEGERS = {0: "I", 1: "H", 30: "H"}


def moved(state: bytearray, streams: int, *, is_turned: bool) -> bytearray:
    """`state`, of one sequence, for a context of `streams` streams, and if `is_turned` of the other kind of
    attention, which takes about 1 ms a MB. Raises ValueError if it is not of that layout."""
    try:
        return bytearray().join(_moved(_Source(state), streams, is_turned=is_turned))
    except (struct.error, KeyError) as error:
        raise ValueError(f"this is no state of a plain KV cache: {error!r}") from error


class _Source:
    def __init__(self, state: bytearray) -> None:
        self.rest = memoryview(state)

    def take(self, count: int) -> memoryview:
        taken, self.rest = self.rest[:count], self.rest[count:]
        if len(taken) < count:
            raise ValueError("a state ends too early")
        return taken

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def count(self) -> int:
        return int(self.unpack(_COUNT)[0])


def _moved(source: _Source, streams: int, *, is_turned: bool) -> Iterator[bytes | memoryview | array[int]]:
    yield source.take(_TWO_COUNTS.size)
    yield from _cache(source, streams, is_turned=is_turned)
    while source.rest:
        # That of sliding windows.
        yield from _cache(source, streams, is_turned=is_turned)


def _cache(source: _Source, streams: int, *, is_turned: bool) -> Iterator[bytes | memoryview | array[int]]:
    streams_before = source.count()
    counts = [source.count()]
    while not counts[-1]:
        counts.append(source.count())
    cells = counts[-1]
    yield _TWO_COUNTS.pack(streams, cells)
    yield source.take(cells * _CELL_BYTES)
    is_transposed, layers = source.unpack(_TWO_COUNTS)
    yield _TWO_COUNTS.pack(is_transposed ^ is_turned, layers)
    for _ in range(layers):
        yield from _cells(source, cells)
    move = _VALUES[bool(is_transposed), is_turned]
    for _ in range(layers):
        yield from move(source, cells)
    if any(source.count() for _ in range(streams_before - len(counts))):
        raise ValueError("a state of several sequences")
    yield bytes(_COUNT.size * (streams - 1))


def _cells(source: _Source, cells: int) -> Iterator[bytes | memoryview]:
    kind, cell_bytes = source.unpack(_CELLS_HEAD)
    yield _CELLS_HEAD.pack(kind, cell_bytes)
    yield source.take(cells * cell_bytes)


def _columns(source: _Source, cells: int) -> Iterator[bytes | memoryview]:
    kind, number_bytes, width = source.unpack(_COLUMNS_HEAD)
    yield _COLUMNS_HEAD.pack(kind, number_bytes, width)
    yield source.take(cells * number_bytes * width)


def _to_columns(source: _Source, cells: int) -> Iterator[bytes | array[int]]:
    kind, cell_bytes = source.unpack(_CELLS_HEAD)
    values = array(_INTEGERS[kind])
    values.frombytes(source.take(cells * cell_bytes))
    width = cell_bytes // values.itemsize
    yield _COLUMNS_HEAD.pack(kind, values.itemsize, width)
    for number in range(width):
        yield values[number::width]


def _to_cells(source: _Source, cells: int) -> Iterator[bytes | array[int]]:
    kind, number_bytes, width = source.unpack(_COLUMNS_HEAD)
    columns = array(_INTEGERS[kind], bytes(source.take(cells * number_bytes * width)))
    values = array(columns.typecode, bytes(len(columns) * number_bytes))
    for number in range(width):
        values[number::width] = columns[number * cells : (number + 1) * cells]
    yield _CELLS_HEAD.pack(kind, number_bytes * width)
    yield values


# By whether they are transposed, and whether they are to be turned.
_VALUES = {
    (False, False): _cells,
    (False, True): _to_columns,
    (True, False): _columns,
    (True, True): _to_cells,
}
