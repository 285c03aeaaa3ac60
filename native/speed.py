"""Child entry, `python -I -m native.speed`: times prefill and decode as llama-bench defines them, of random
tokens, with nothing tokenized and nothing sampled.

One JSON line on stdin: `path`, `gpu_layers` (-1: all), `context_length`, `threads`, `kv_type_k`, `kv_type_v`
and `flash_attention` (null: llama.cpp decides). When the model is loaded, one on stdout:

    {"devices": "CPU 94 MiB", "hardware": {…}}      `hardware` is a HardwareSnapshot

Then, for each {"prompt_tokens": 512, "generate_tokens": 0, "depth": 2048} on stdin, one of the two counts
being 0: {"seconds": 0.84}. An {"error": "…"} is the last answer. End of file on stdin ends it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from native.binding import api
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.offload import placed_on
from native.probe import take_snapshot

# llama-bench's micro-batch, and the worker's batch.
_BATCH_TOKENS = 512


class Stopwatch:
    """Times decodes behind a prefix of random tokens, which is computed again only if it must be."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._random = random.Random(0)
        self._depth = 0

    def seconds(self, prompt_tokens: int, generate_tokens: int, depth: int) -> float:
        """Raises LlamaError."""
        self._go_to(depth)
        prompt, generated = self._tokens(prompt_tokens), self._tokens(generate_tokens)
        started = time.perf_counter()
        self._prefill(prompt, depth)
        for position, token in enumerate(generated, depth + prompt_tokens):
            self._decode([token], position)
        return time.perf_counter() - started

    def _go_to(self, depth: int) -> None:
        if depth != self._depth or not self._context.keep_prefix(0, depth):
            self._context.clear(0)
            self._prefill(self._tokens(depth), 0)
        self._depth = depth

    def _tokens(self, count: int) -> list[int]:
        return self._random.choices(range(self._context.model.vocabulary_size), k=count)

    def _prefill(self, tokens: list[int], position: int) -> None:
        for start in range(0, len(tokens), _BATCH_TOKENS):
            self._decode(tokens[start : start + _BATCH_TOKENS], position + start)

    def _decode(self, tokens: list[int], position: int) -> None:
        self._context.batch.clear()
        self._context.batch.add(0, position, tokens, outputs=1)
        self._context.decode()
        # A GPU computes on while llama_decode returns.
        api.llama_synchronize(self._context.handle)


def main() -> None:
    # Back ends print to fd 1; the answers have the real stdout to themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for answer in _answers():
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answers() -> Iterator[dict[str, Any]]:
    try:
        log = Log()
        context = _load(json.loads(sys.stdin.readline()), log)
        yield {"devices": placed_on(log.infos), "hardware": asdict(take_snapshot())}
        stopwatch = Stopwatch(context)
        for line in sys.stdin:
            yield {"seconds": stopwatch.seconds(**json.loads(line))}
    except LlamaError as error:
        yield {"error": str(error)}


def _load(order: dict[str, Any], log: Log) -> Context:
    model = Model(Path(order.pop("path")), order.pop("gpu_layers"), lambda _fraction: True, log)
    threads = order.pop("threads")
    options = ContextOptions(
        sequences=1, batch_tokens=_BATCH_TOKENS, threads=threads, prefill_threads=threads, **order
    )
    return Context(model, options)


if __name__ == "__main__":
    main()
