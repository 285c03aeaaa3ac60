"""What goes into a model's matrices, watched while llama.cpp computes: squares summed per input column."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from native.binding import api
from native.errors import LlamaError
from native.ggml import F32, Tensor, check_layout, check_size, function
from native.importance import Importance

_PLAIN, _EXPERTS = b"MUL_MAT", b"MUL_MAT_ID"
_FEWEST_ROWS = 16
"""Plain products of fewer rows are not of a text that is being read (llama-imatrix's rule)."""
_VALUE_BYTES = 4

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class Collector:
    """Give `callback` to a context as `cb_eval`. llama.cpp calls it twice for every operation of a graph:
    first whether its result is wanted, then, if so, when it is there.

    An exception cannot pass through C: the first is kept in `failure`, and the computation stopped.
    """

    def __init__(self) -> None:
        """Raises LlamaError if this ggml is not the one that is known here."""
        check_size()
        self.failure: str | None = None
        self._is_checked = False
        self._entries: dict[str, Importance] = {}
        # llama.cpp keeps no reference that Python knows of.
        self.callback = api.ggml_backend_sched_eval_callback(self._on_operation)

    def entries(self) -> dict[str, Importance]:
        """Raises LlamaError if nothing was seen."""
        if not self._entries:
            raise LlamaError("no matrix of this model was seen at work")
        return self._entries

    def _on_operation(self, address: int, is_asked: bool, _user_data: object) -> bool:
        try:
            return self._wants(address) if is_asked else self._take(address)
        except (LlamaError, ValueError, KeyError, IndexError, TypeError) as error:
            self.failure = self.failure or str(error)
            return False

    def _wants(self, address: int) -> bool:
        operation = function("ggml_op_desc")(address)
        if operation not in (_PLAIN, _EXPERTS):
            return False
        if not self._is_checked:
            self._check(address)
        product = Tensor.from_address(address)
        weight, inputs = Tensor.from_address(product.src[0]), Tensor.from_address(product.src[1])
        if inputs.type != F32:
            return False
        if operation == _EXPERTS:
            return True
        return bool(inputs.ne[1] >= _FEWEST_ROWS and matrix_name(weight.name).startswith("blk."))

    def _check(self, address: int) -> None:
        check_layout(address)
        for source in Tensor.from_address(address).src[:2]:
            check_layout(source)
        self._is_checked = True

    def _take(self, address: int) -> bool:
        product = Tensor.from_address(address)
        weight = Tensor.from_address(product.src[0])
        name = matrix_name(weight.name)
        inputs = np.square(floats(product.src[1]), dtype=np.float64)
        if not np.isfinite(inputs).all():
            raise LlamaError(f"what goes into {name} is not finite: the model or its file is broken")
        if function("ggml_op_desc")(address) == _EXPERTS:
            self._add_experts(name, inputs, integers(product.src[2]), weight.ne[2])
        else:
            self._add_plain(name, inputs, (weight.ne[3], weight.ne[2]))
        return True

    def _add_plain(self, name: str, inputs: Doubles, matrices: tuple[int, int]) -> None:
        """`inputs` of shape (i3, i2, rows, columns) for a stack of `matrices`, over which they repeat."""
        outer, inner = matrices
        entry = self._room(name, outer * inner, inputs.shape[-1])
        for i3, planes in enumerate(inputs):
            for i2, rows in enumerate(planes):
                entry.sums[i3 % outer * inner + i2 % inner] += rows.sum(axis=0)
        entry.counts[:] += inputs[..., 0].size // (outer * inner)

    def _add_experts(self, name: str, inputs: Doubles, chosen: NDArray[np.int32], experts: int) -> None:
        """`inputs` of shape (1, tokens, choices or 1, columns), `chosen` (1, 1, tokens, choices)."""
        rows, chosen = inputs[0], chosen[0, 0]
        if inputs.shape[0] != 1 or len(rows) != len(chosen) or chosen.min() < 0 or chosen.max() >= experts:
            raise LlamaError(f"the experts of {name} are not routed as expected")
        entry = self._room(name, experts, inputs.shape[-1])
        for choice in range(chosen.shape[1]):
            for expert in np.unique(chosen[:, choice]):
                routed = rows[chosen[:, choice] == expert, choice % rows.shape[1]]
                entry.sums[expert] += routed.sum(axis=0)
                entry.counts[expert] += len(routed)

    def _room(self, name: str, matrices: int, columns: int) -> Importance:
        shape = (matrices, columns)
        entry = self._entries.setdefault(name, Importance(np.zeros(shape), np.zeros(matrices)))
        if entry.sums.shape != shape:
            raise LlamaError(f"{name} changed its shape from {entry.sums.shape} to {shape}")
        return entry


def matrix_name(decorated: bytes) -> str:
    """The file's name of a tensor that ggml copied to a device: `CUDA0#blk.0.attn_q.weight#0`."""
    parts = decorated.decode("utf-8", "replace").split("#")
    return parts[1] if len(parts) > 1 else parts[0]


def floats(address: int) -> Floats:
    """Values of an F32 tensor, slowest dimension first."""
    return integers(address).view(np.float32)


def integers(address: int) -> NDArray[np.int32]:
    """Values of an I32 tensor, slowest dimension first: a view where it lies in main memory, strided as it is
    there, else of a copy. Raises LlamaError if its rows have gaps."""
    tensor = Tensor.from_address(address)
    if tensor.nb[0] != _VALUE_BYTES:
        raise LlamaError(f"{tensor.name.decode('utf-8', 'replace')} has {tensor.nb[0]} bytes per value")
    size_bytes = int(function("ggml_nbytes")(address))
    if tensor.buffer and function("ggml_backend_buffer_is_host")(tensor.buffer):
        memory = (ctypes.c_char * size_bytes).from_address(tensor.data)
    else:
        memory = (ctypes.c_char * size_bytes)()
        function("ggml_backend_tensor_get")(address, memory, 0, size_bytes)
    shape, strides = tuple(tensor.ne)[::-1], tuple(tensor.nb)[::-1]
    return np.ndarray(shape, np.int32, memoryview(memory), strides=strides)
