"""Child entry, `python -I -m native.roundtrip`: what quantizing each matrix to each type would cost, on a
sample of its rows and without writing a file.

One JSON line on stdin: `path` (of the model), `imatrix` (path or null), `rows` (most to sample of a matrix),
`tensors` (by name of the matrix {"columns": 576, "types": [12, 14]}: the length of its rows, and ggml's
numbers of the types to try) and `important_only` (types that are not tried on matrices without importance).
Then a JSON line on stdout for each matrix:

    {"tensor": "blk.0.attn_q.weight", "errors": {"12": 0.0031, "14": 0.0002}}     ending with {"done": true}

An error is relative: Σ importance · (w - ŵ)² / Σ importance · w², the share of what a matrix puts out that
becomes noise. {"error": "…"} is the last answer. End of file on stdin ends the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from native import importance, stdio
from native.errors import LlamaError
from native.ggml import F32, function
from native.gguf_file import GgufFile

Floats = NDArray[np.float32]
_EXPERTS = 8
_TO_FLOAT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class _Traits(ctypes.Structure):
    """`struct ggml_type_traits`."""

    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("block_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.c_void_p),
        ("from_float", ctypes.c_void_p),
    )


def decoded(kind: int, data: NDArray[np.uint8], rows: int, columns: int) -> Floats:
    """`rows` rows of ggml type `kind` as floats, shape (rows, columns). Raises LlamaError if ggml cannot."""
    if kind == F32:
        return np.ascontiguousarray(data).view(np.float32).reshape(rows, columns)
    traits = _Traits.from_address(function("ggml_get_type_traits")(kind))
    if traits.type_name != function("ggml_type_name")(kind) or not traits.to_float:
        raise LlamaError(f"this version of ggml does not decode its type {kind}")
    source, values = np.ascontiguousarray(data), np.empty((rows, columns), np.float32)
    _TO_FLOAT(traits.to_float)(source.ctypes.data, values.ctypes.data, values.size)
    return values


def encoded(kind: int, values: Floats, weights: Floats | None) -> NDArray[np.uint8]:
    """Rows of floats in ggml type `kind`; `weights` has the importance of each column."""
    rows, columns = values.shape
    data = np.empty(rows * function("ggml_row_size")(kind, columns), np.uint8)
    pointer = None if weights is None else weights.ctypes.data
    function("ggml_quantize_chunk")(kind, values.ctypes.data, data.ctypes.data, 0, rows, columns, pointer)
    return data


def error(kind: int, values: Floats, weights: Floats | None) -> float:
    """Of `values` of shape (rows, columns), relative and weighted."""
    back = decoded(kind, encoded(kind, values, weights), *values.shape)
    noise = np.square(values - back, dtype=np.float64).sum(axis=0)
    signal = np.square(values, dtype=np.float64).sum(axis=0)
    columns = np.ones_like(noise) if weights is None else weights.astype(np.float64)
    whole = float(signal @ columns)
    return float(noise @ columns) / whole if whole else 0.0


class Samples:
    """Rows of a model's matrices, spread evenly over each, with their importance."""

    def __init__(self, file: GgufFile, matrix: Mapping[str, importance.Importance], most_rows: int) -> None:
        self._file, self._matrix, self._most_rows = file, matrix, most_rows

    def of(self, name: str, columns: int) -> Iterator[tuple[Floats, Floats | None]]:
        """Rows of shape (rows, columns) and the importance of the columns; for a stack of experts, some of
        each of a few."""
        placed = self._file.tensors[name]
        row_bytes = int(function("ggml_row_size")(placed.type, columns))
        rows = self._file.bytes(name).reshape(-1, row_bytes)
        entry = self._matrix.get(name)
        weights = None if entry is None else entry.weights().reshape(-1, columns)
        stacks = 1 if weights is None else len(weights)
        chosen = np.unique(np.linspace(0, stacks - 1, min(stacks, _EXPERTS)).astype(int))
        each = len(rows) // stacks
        for expert in chosen:
            count = min(each, max(1, self._most_rows // len(chosen)))
            picked = expert * each + np.unique(np.linspace(0, each - 1, count).astype(int))
            values = decoded(placed.type, rows[picked].ravel(), len(picked), columns)
            yield values, None if weights is None else np.ascontiguousarray(weights[expert])


def errors(samples: Samples, name: str, columns: int, kinds: list[int]) -> dict[str, float]:
    """By number of the type: the mean over the sampled experts."""
    found: dict[str, list[float]] = {}
    for values, weights in samples.of(name, columns):
        for kind in kinds:
            found.setdefault(str(kind), []).append(error(kind, values, weights))
    return {kind: sum(each) / len(each) for kind, each in found.items()}


def _answers(order: dict[str, Any]) -> Iterator[dict[str, Any]]:
    matrix = importance.read(Path(order["imatrix"])).entries if order["imatrix"] else {}
    with GgufFile.open(Path(order["path"])) as file:
        samples = Samples(file, matrix, order["rows"])
        for name, wanted in order["tensors"].items():
            left_out = () if name in matrix else order["important_only"]
            kinds = [kind for kind in wanted["types"] if kind not in left_out]
            yield {"tensor": name, "errors": errors(samples, name, wanted["columns"], kinds)}
    yield {"done": True}


if __name__ == "__main__":
    stdio.carry_out(_answers)
