"""Child entry, `python -I -m native.quantize`: writes a GGUF file in another quantization.

One JSON line on stdin: `source`, `destination` (paths), `type` ("Q4_K_M"), `threads` (0: all),
`allow_requantize`, and where wanted `imatrix` (path of an importance matrix), `tensor_types` (pairs of a
regular expression, searched in tensors' names, and ggml's number of a type: the first that fits decides) and
`prune_layers` (numbers of layers to leave out, ascending). Then JSON lines on stdout:

    {"planned_bytes": 4508876, "types": {"blk.0.attn_q.weight": "q4_K", …}}
                                           of the weights to come; waits for one more line on stdin
    {"tensor": "blk.0.attn_q.weight"}      is being converted now
    {"done": true}  or  {"error": "…", "needs_imatrix": false}

End of file on stdin means that nobody waits any more: the process ends at once.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from native import importance, stdio, topology
from native.binding import api
from native.errors import LlamaError
from native.log import Log

_TENSOR = re.compile(r"\[ *\d+/ *\d+\] (.+?) +- \[")
_TYPE = re.compile(r"size = .* -> .* \((\w+)\)")
_PLANNED = re.compile(r"quant size += +([\d.]+) MiB")
_FLOATS = ctypes.POINTER(ctypes.c_float)
_TEXT_LIMIT_BYTES = 127
_BUFFER_SHARE, _LEAST_BUFFER_BYTES = 4, 64 * 1024**2
_NEEDS_IMATRIX = re.compile(r"requires? an (imatrix|importance matrix)")


@dataclass(frozen=True, slots=True)
class Job:
    source: str
    destination: str
    type: str
    threads: int
    allow_requantize: bool
    imatrix: str | None = None
    tensor_types: list[tuple[str, int]] = field(default_factory=list)
    prune_layers: list[int] = field(default_factory=list)


class QuantizeLog(Log):
    """llama.cpp says only in its log how far it is."""

    def __init__(self, on_tensor: Callable[[str], None]) -> None:
        self._on_tensor = on_tensor
        self._tensor = ""
        self.types: dict[str, str] = {}
        self.planned_bytes: int | None = None
        self.needs_imatrix = False
        super().__init__()

    def _on_line(self, level: int, text: bytes, user_data: object) -> None:
        super()._on_line(level, text, user_data)
        line = text.decode("utf-8", "replace")
        if tensor := _TENSOR.match(line):
            self._tensor = tensor[1]
            self._on_tensor(tensor[1])
        elif converted := _TYPE.search(line):
            self.types[self._tensor] = converted[1]
        elif planned := _PLANNED.search(line):
            # Printed to a hundredth: round up.
            self.planned_bytes = int((float(planned[1]) + 0.005) * 1024**2)
        elif _NEEDS_IMATRIX.search(line):
            self.needs_imatrix = True

    def failure(self) -> dict[str, object]:
        """The last answer."""
        reason = self.errors[-1] if self.errors else "llama.cpp gave no reason"
        words = reason.removeprefix("llama_model_quantize: failed to quantize: ")
        return {"error": words, "needs_imatrix": self.needs_imatrix}


def main() -> None:
    answer, requests = stdio.answers(), stdio.take_stdin()
    job = Job(**json.loads(requests.readline()))
    try:
        options = Options(job)
        plan = QuantizeLog(lambda _name: None)
        if not options.run(dry_run=True) or plan.needs_imatrix:
            answer(plan.failure())
            return
        answer({"planned_bytes": plan.planned_bytes, "types": plan.types})
        if not requests.readline():
            return
        stdio.end_with_parent(requests)
        work = QuantizeLog(lambda name: answer({"tensor": name}))
        answer({"done": True} if options.run(dry_run=False) else work.failure())
    except LlamaError as error:
        answer({"error": str(error), "needs_imatrix": False})


class Options:
    """llama.cpp's parameters of a job, and the memory that they point to."""

    def __init__(self, job: Job) -> None:
        """Raises LlamaError if the importance matrix cannot be used."""
        self._job = job
        self.params = api.llama_model_quantize_default_params()
        self.params.ftype = _file_type(job.type)
        self.params.nthread = job.threads
        self.params.allow_requantize = job.allow_requantize
        # As much of a tensor as fits is converted at once, which by default may be 8 GiB.
        room_bytes = topology.memory().available_bytes // _BUFFER_SHARE
        self.params.max_buf_size = min(int(self.params.max_buf_size), max(room_bytes, _LEAST_BUFFER_BYTES))
        self._kept: list[Any] = []
        if job.imatrix:
            self._use(importance.read(Path(job.imatrix)), Path(job.imatrix).name)
        if job.tensor_types:
            rows = [(pattern.encode(), number) for pattern, number in job.tensor_types]
            self.params.tt_overrides = self._keep(api.llama_model_tensor_override, [*rows, (None, 0)])
        if job.prune_layers:
            self.params.prune_layers = self._keep(ctypes.c_int32, [*job.prune_layers, -1])

    def run(self, *, dry_run: bool) -> bool:
        self.params.dry_run = dry_run
        paths = self._job.source.encode(), self._job.destination.encode()
        return int(api.llama_model_quantize(*paths, ctypes.byref(self.params))) == 0

    def _use(self, matrix: importance.Matrix, file_name: str) -> None:
        """Weigh errors by the matrix, and say so in the file as llama-quantize does."""
        rows = []
        for name, entry in matrix.entries.items():
            weights = entry.weights()
            self._kept.append(weights)
            rows.append((name.encode(), weights.ctypes.data_as(_FLOATS), weights.size))
        self.params.imatrix = self._keep(api.llama_model_imatrix_data, [*rows, (None, None, 0)])
        said = {"file": file_name, "dataset": ", ".join(matrix.datasets)}
        counted = {"entries_count": len(matrix.entries), "chunks_count": matrix.chunks}
        overrides = [_override(f"quantize.imatrix.{key}", value) for key, value in (said | counted).items()]
        end = api.llama_model_kv_override()
        self.params.kv_overrides = self._keep(api.llama_model_kv_override, [*overrides, end])

    def _keep(self, kind: Any, rows: list[Any]) -> Any:
        """An array of `rows` that lives on; the last one tells llama.cpp where it ends."""
        array = (kind * len(rows))(*rows)
        self._kept.append(array)
        return array


def _override(key: str, value: int | str) -> Any:
    override = api.llama_model_kv_override(key=key.encode())
    if isinstance(value, int):
        override.tag, override.value.val_i64 = api.LLAMA_KV_OVERRIDE_TYPE_INT, value
    else:
        text = value.encode()[:_TEXT_LIMIT_BYTES].decode("utf-8", "ignore")
        override.tag, override.value.val_str = api.LLAMA_KV_OVERRIDE_TYPE_STR, text.encode()
    return override


def _file_type(name: str) -> int:
    prefix = "ALL" if name == "F32" else "MOSTLY"
    return int(getattr(api, f"LLAMA_FTYPE_{prefix}_{name}"))


if __name__ == "__main__":
    main()
