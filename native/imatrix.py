"""Child entry, `python -I -m native.imatrix`: collects an importance matrix while llama.cpp reads a text.

One JSON line on stdin: `path` (of the model), `destination`, `text` or `chunks` (lists of tokens), the most
chunks that are read of a text (`most_chunks`), `chunk_tokens`, `datasets` (names of the text), `gpu_layers`
(-1: all) and `threads`. Then JSON lines on stdout:

    {"chunk": 3, "chunks": 64}
    {"done": true, "tensors": 210, "chunks": 64}  or  {"error": "…"}

End of file on stdin means that nobody waits any more: the process ends at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from native import importance, stdio
from native.batch import Batch
from native.binding import api
from native.collector import Collector
from native.errors import LlamaError
from native.llama import Model
from native.log import Log


@dataclass(frozen=True, slots=True)
class Order:
    path: str
    destination: str
    datasets: list[str]
    chunk_tokens: int
    gpu_layers: int
    threads: int
    text: str | None = None
    chunks: list[list[int]] | None = None
    most_chunks: int = 64


class Reader:
    """A model and a context whose every result passes the collector."""

    def __init__(self, order: Order, collector: Collector) -> None:
        """Raises LlamaError."""
        self._log = Log()
        self._collector = collector
        self.model = _load(order, self._log)
        params = api.llama_context_default_params()
        # All of a chunk at once, with logits for all tokens: else the last layer is computed for few rows.
        params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = order.chunk_tokens
        params.n_threads = params.n_threads_batch = order.threads
        params.cb_eval = collector.callback
        self._context = api.llama_init_from_model(self.model.handle, params)
        if not self._context:
            raise LlamaError(self._log.last_errors() or "llama.cpp could not make a context")
        self._batch = Batch(order.chunk_tokens, 1)

    def read(self, tokens: list[int]) -> None:
        """Raises LlamaError, also for what the collector refused."""
        api.llama_memory_clear(api.llama_get_memory(self._context), True)
        self._batch.clear()
        self._batch.add(0, 0, tokens, outputs=len(tokens))
        status = api.llama_decode(self._context, self._batch.struct)
        if self._collector.failure:
            raise LlamaError(self._collector.failure)
        if status:
            raise LlamaError(f"llama_decode returned {status}; {self._log.last_errors()}")


def _load(order: Order, log: Log) -> Model:
    """On the graphics card if the model has room there."""
    try:
        return Model(Path(order.path), order.gpu_layers, lambda _fraction: True, log)
    except LlamaError:
        if not order.gpu_layers:
            raise
        return Model(Path(order.path), 0, lambda _fraction: True, log)


def chunks_of(model: Model, order: Order) -> list[list[int]]:
    """Runs of `chunk_tokens` tokens as llama-imatrix cuts them: the first of each becomes BOS where the model
    wants one, and an incomplete last one is left out. Given ones are taken as they are. Raises LlamaError."""
    if order.chunks is not None:
        return [chunk[: order.chunk_tokens] for chunk in order.chunks]
    tokens = model.tokenize(order.text or "", add_special=True, parse_special=False)
    starts = range(0, len(tokens) - order.chunk_tokens + 1, order.chunk_tokens)[: order.most_chunks]
    chunks = [tokens[start : start + order.chunk_tokens] for start in starts]
    if not chunks:
        raise LlamaError(f"a text of {len(tokens)} tokens is too short for one chunk of {order.chunk_tokens}")
    if api.llama_vocab_get_add_bos(model.vocabulary):
        chunks = [[model.bos_token, *chunk[1:]] for chunk in chunks]
    return chunks


def main() -> None:
    answer, requests = stdio.answers(), stdio.take_stdin()
    order = Order(**json.loads(requests.readline()))
    stdio.end_with_parent(requests)
    for fields in _answers(order):
        answer(fields)


def _answers(order: Order) -> Iterator[dict[str, Any]]:
    try:
        collector = Collector()
        reader = Reader(order, collector)
        chunks = chunks_of(reader.model, order)
        for number, chunk in enumerate(chunks, 1):
            reader.read(chunk)
            yield {"chunk": number, "chunks": len(chunks)}
        entries = collector.entries()
        matrix = importance.Matrix(entries, tuple(order.datasets), len(chunks), order.chunk_tokens)
        importance.write(Path(order.destination), matrix)
        yield {"done": True, "tensors": len(entries), "chunks": len(chunks)}
    except LlamaError as error:
        yield {"error": str(error)}


if __name__ == "__main__":
    main()
