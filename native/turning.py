"""States of sequences between contexts with flash attention and without: these keep their values transposed.

llama.cpp's layout of a plain KV cache, in the machine's byte order: a mark (u32), the sequence (i32) and the
number of streams (u32). For each stream the number of cells (u32) and, if there are any: position, number of
sequences, and sequence of each (i32, u32, i32); whether values are transposed, and number of layers (u32); of
each layer the keys: ggml's type (i32), bytes of a cell (u64), the cells; of each layer the values: the same,
or if transposed: ggml's type (i32), bytes of a number, numbers in a cell (u32), and each number of all cells.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator

_COUNT, _TWO_COUNTS = struct.Struct("=I"), struct.Struct("=II")
_CELLS_HEAD, _COLUMNS_HEAD = struct.Struct("=iQ"), struct.Struct("=iII")
_CELL_BYTES = 12
# Integers as long as numbers of ggml's types f32, f16 and bf16.
_INTEGERS = {0: "I", 1: "H", 30: "H"}


def turned(state: bytearray, streams: int) -> bytearray:
    """`state`, of one sequence, for a context of `streams` streams and the other kind of attention. Takes
    about 1 ms a MB. Raises ValueError if it is not of that layout."""
    try:
        return bytearray().join(_turned(_Source(state), streams))
    except (struct.error, KeyError) as error:
        raise ValueError(f"this is no state of a plain KV cache: {error!r}") from error


class _Source:
    def __init__(self, state: bytearray) -> None:
        self._rest = memoryview(state)

    def take(self, count: int) -> memoryview:
        taken, self._rest = self._rest[:count], self._rest[count:]
        if len(taken) < count:
            raise ValueError("a state ends too early")
        return taken

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        return layout.unpack(self.take(layout.size))

    def count(self) -> int:
        return int(self.unpack(_COUNT)[0])

    def end(self) -> None:
        if self._rest:
            raise ValueError(f"a state goes on for {len(self._rest)} bytes")


def _turned(source: _Source, streams: int) -> Iterator[bytes | memoryview | array[int]]:
    yield source.take(_TWO_COUNTS.size)
    streams_before = source.count()
    counts = [source.count()]
    while not counts[-1]:
        counts.append(source.count())
    cells = counts[-1]
    yield _TWO_COUNTS.pack(streams, cells)
    yield source.take(cells * _CELL_BYTES)
    is_transposed, layers = source.unpack(_TWO_COUNTS)
    yield _TWO_COUNTS.pack(not is_transposed, layers)
    for _ in range(layers):
        kind, cell_bytes = source.unpack(_CELLS_HEAD)
        yield _CELLS_HEAD.pack(kind, cell_bytes)
        yield source.take(cells * cell_bytes)
    turn = _to_cells if is_transposed else _to_columns
    for _ in range(layers):
        yield from turn(source, cells)
    if any(source.count() for _ in range(streams_before - len(counts))):
        raise ValueError("a state of several sequences")
    source.end()
    yield bytes(_COUNT.size * (streams - 1))


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
