"""Child entry, `python -I -m native.imatrix`: collects an importance matrix while llama.cpp reads a text.

One JSON line on stdin: `path` (of the model), `destination`, `text` or `chunks` (lists of tokens), the most
chunks that are read of a text (`most_chunks`), `chunk_tokens`, `datasets` (names of the text), `gpu_layers`
(-1: all) and `threads`. Then JSON lines on stdout:

    {"chunk": 3, "chunks": 64}
    {"done": true, "tensors": 210, "chunks": 64}  or  {"error": "…"}

End of file on stdin means that nobody waits any more: the process ends at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from native import importance, stdio
from native.binding import api
from native.collector import Collector
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model


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


class Reader(Context):
    """Every result of which passes the collector."""

    def __init__(self, order: Order, collector: Collector) -> None:
        """Raises LlamaError."""
        self._collector = collector
        # All of a chunk at once, with logits for all tokens: else the last layer is computed for few rows.
        tokens, threads = order.chunk_tokens, order.threads
        options = ContextOptions(tokens, 1, tokens, threads, threads, output_tokens=tokens)
        super().__init__(_load(order), options)

    def _parameters(self) -> api.llama_context_params:
        params = super()._parameters()
        params.cb_eval = self._collector.callback
        return params

    def read(self, tokens: list[int]) -> None:
        """Raises LlamaError, also for what the collector refused."""
        self.clear(0)
        self.batch.clear()
        self.batch.add(0, 0, tokens, outputs=len(tokens))
        self.decode()
        if self._collector.failure:
            raise LlamaError(self._collector.failure)


def _load(order: Order) -> Model:
    """On the graphics card if the model has room there."""
    path = Path(order.path)
    try:
        return Model(path, order.gpu_layers)
    except LlamaError:
        if not order.gpu_layers:
            raise
        return Model(path, 0)


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


def _answers(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    order, collector = Order(**fields), Collector()
    reader = Reader(order, collector)
    chunks = chunks_of(reader.model, order)
    for number, chunk in enumerate(chunks, 1):
        reader.read(chunk)
        yield {"chunk": number, "chunks": len(chunks)}
    entries = collector.entries()
    matrix = importance.Matrix(entries, tuple(order.datasets), len(chunks), order.chunk_tokens)
    importance.write(Path(order.destination), matrix)
    yield {"done": True, "tensors": len(entries), "chunks": len(chunks)}


if __name__ == "__main__":
    stdio.carry_out(_answers)
