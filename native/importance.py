"""Importance matrices as files: llama.cpp's own GGUF format, which llama-imatrix and llama-quantize know.

For each matrix of the model two tensors: `<name>.in_sum2`, the sum of the squares of what came in at each
column, and `<name>.counts`, over how many rows; both once per expert.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from native.errors import LlamaError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SUMS, _COUNTS = ".in_sum2", ".counts"
_U32, _STRING, _ARRAY = 4, 8, 9
_VERSION, _ALIGNMENT, _F32 = 3, 32, 0


@dataclass(frozen=True, slots=True)
class Importance:
    """`sums` has shape (experts, columns) and `counts` (experts,); both have one row for plain matrices."""

    sums: NDArray[np.float64]
    counts: NDArray[np.float64]

    def weights(self) -> NDArray[np.float32]:
        """Mean square per column, all experts in a row; 1 for an expert that nothing was routed to."""
        import numpy as np

        counts = self.counts[:, None]
        means = np.divide(self.sums, counts, out=np.ones_like(self.sums), where=counts > 0)
        return means.astype(np.float32).ravel()


@dataclass(frozen=True, slots=True)
class Matrix:
    """`datasets` name the text, of which `chunks` of `chunk_tokens` tokens each were read."""

    entries: Mapping[str, Importance]
    datasets: tuple[str, ...]
    chunks: int
    chunk_tokens: int


def write(path: Path, matrix: Matrix) -> None:
    tensors: list[tuple[str, NDArray[np.float64]]] = []
    for name, entry in sorted(matrix.entries.items()):
        tensors += [(name + _SUMS, entry.sums), (name + _COUNTS, entry.counts[:, None])]
    keys = (
        _key("general.type", _STRING, _string("imatrix")),
        _key("imatrix.datasets", _ARRAY, _strings(matrix.datasets)),
        _key("imatrix.chunk_count", _U32, struct.pack("<I", matrix.chunks)),
        _key("imatrix.chunk_size", _U32, struct.pack("<I", matrix.chunk_tokens)),
    )
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", _VERSION, len(tensors), len(keys)) + b"".join(keys))
        _write_tensors(file, tensors)


def _write_tensors(file: BinaryIO, tensors: list[tuple[str, NDArray[np.float64]]]) -> None:
    offset = 0
    for name, values in tensors:
        rows, columns = values.shape
        file.write(_string(name) + struct.pack("<IQQIQ", 2, columns, rows, _F32, offset))
        offset += _padded(4 * values.size)
    for _, values in tensors:
        file.write(b"\0" * (_padded(file.tell()) - file.tell()))
        file.write(values.astype("<f4").tobytes())
    file.write(b"\0" * (_padded(file.tell()) - file.tell()))


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT


def _key(name: str, kind: int, value: bytes) -> bytes:
    return _string(name) + struct.pack("<I", kind) + value


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _strings(texts: tuple[str, ...]) -> bytes:
    return struct.pack("<IQ", _STRING, len(texts)) + b"".join(map(_string, texts))


def read(path: Path) -> Matrix:
    """Raises LlamaError if `path` is no such file."""
    from native.gguf_file import GgufFile

    with GgufFile.open(path) as file:
        if file.text("general.type") != "imatrix":
            raise LlamaError(f"{path.name} is no importance matrix in GGUF format")
        tensors = {name: file.floats(name) for name in file.tensors}
        return Matrix(
            _entries(tensors, path.name),
            file.texts("imatrix.datasets"),
            file.number("imatrix.chunk_count"),
            file.number("imatrix.chunk_size"),
        )


def _entries(tensors: Mapping[str, NDArray[np.float32]], file_name: str) -> dict[str, Importance]:
    import numpy as np

    entries = {}
    for name in (each.removesuffix(_SUMS) for each in tensors if each.endswith(_SUMS)):
        sums, counts = tensors[name + _SUMS], tensors.get(name + _COUNTS)
        if counts is None or not counts.size or sums.size % counts.size:
            raise LlamaError(f"{file_name} has sums of {name} without counts that fit")
        if not (np.isfinite(sums).all() and np.isfinite(counts).all() and (sums >= 0).all()):
            raise LlamaError(f"{file_name} has sums of {name} that are no sums of squares")
        entries[name] = Importance(
            sums.reshape(counts.size, -1).astype(np.float64), counts.ravel().astype(np.float64)
        )
    if not entries:
        raise LlamaError(f"{file_name} is an importance matrix of nothing")
    return entries
