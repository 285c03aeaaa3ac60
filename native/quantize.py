"""Child entry, `python -I -m native.quantize`: writes a GGUF file in another quantization.

One JSON line on stdin: `source`, `destination` (paths), `type` ("Q4_K_M"), `threads` (0: all) and
`allow_requantize`. Then JSON lines on stdout:

    {"planned_bytes": 4508876}             size of the weights to come; waits for one more line on stdin
    {"tensor": "blk.0.attn_q.weight"}      is being converted now
    {"done": true}  or  {"error": "…", "needs_imatrix": false}

End of file on stdin means that nobody waits any more: the process ends at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from native.binding import api
from native.log import Log

_TENSOR = re.compile(r"\[ *\d+/ *\d+\] (.+?) +- \[")
_PLANNED = re.compile(r"quant size += +([\d.]+) MiB")
_NEEDS_IMATRIX = re.compile(r"requires? an (imatrix|importance matrix)")


@dataclass(frozen=True, slots=True)
class Job:
    source: str
    destination: str
    type: str
    threads: int
    allow_requantize: bool


class QuantizeLog(Log):
    """llama.cpp says only in its log how far it is."""

    def __init__(self, on_tensor: Callable[[str], None]) -> None:
        self._on_tensor = on_tensor
        self.planned_bytes: int | None = None
        self.needs_imatrix = False
        super().__init__()

    def _on_line(self, level: int, text: bytes, user_data: object) -> None:
        super()._on_line(level, text, user_data)
        line = text.decode("utf-8", "replace")
        if tensor := _TENSOR.match(line):
            self._on_tensor(tensor[1])
        elif planned := _PLANNED.search(line):
            # Printed to a hundredth: round up.
            self.planned_bytes = int((float(planned[1]) + 0.005) * 1024**2)
        elif _NEEDS_IMATRIX.search(line):
            self.needs_imatrix = True

    def failure(self) -> str:
        reason = self.errors[-1] if self.errors else "llama.cpp gave no reason"
        return reason.removeprefix("llama_model_quantize: failed to quantize: ")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    job = Job(**json.loads(requests.readline()))

    def answer(**fields: object) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    plan = QuantizeLog(lambda _name: None)
    if _quantize(job, dry_run=True) and not plan.needs_imatrix:
        answer(planned_bytes=plan.planned_bytes)
        if not requests.readline():
            return
        threading.Thread(target=_end_with_parent, args=(requests,), daemon=True).start()
        work = QuantizeLog(lambda name: answer(tensor=name))
        if _quantize(job, dry_run=False):
            answer(done=True)
        else:
            answer(error=work.failure(), needs_imatrix=work.needs_imatrix)
    else:
        answer(error=plan.failure(), needs_imatrix=plan.needs_imatrix)


def _quantize(job: Job, *, dry_run: bool) -> bool:
    params = api.llama_model_quantize_default_params()
    params.ftype = _file_type(job.type)
    params.nthread = job.threads
    params.allow_requantize = job.allow_requantize
    params.dry_run = dry_run
    status = api.llama_model_quantize(job.source.encode(), job.destination.encode(), ctypes.byref(params))
    return int(status) == 0


def _file_type(name: str) -> int:
    prefix = "ALL" if name == "F32" else "MOSTLY"
    return int(getattr(api, f"LLAMA_FTYPE_{prefix}_{name}"))


def _end_with_parent(requests: BinaryIO) -> None:
    requests.read()
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
