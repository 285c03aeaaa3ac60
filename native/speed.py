"""Child entry, `python -I -m native.speed`: times prefill and decode as llama-bench defines them. Nothing is
tokenized or sampled meanwhile.

One JSON line on stdin: `path`, `gpu_layers` (-1: all), `context_length`, `threads`, `kv_type_k`, `kv_type_v`
and `flash_attention` (null: llama.cpp decides), and where wanted `text` to take tokens from instead of random
ones, which send a mixture of experts to other experts than text does, and `follows_load`: fewer threads while
other processes keep cores busy, as in a worker. When the model is loaded, one on stdout:

    {"devices": "CPU 94 MiB", "hardware": {…}, "load_s": 0.21, "buffers": [{"device": "CPU", …}, …],
     "flash_attention": true}

`hardware` is a HardwareSnapshot; `load_s` is from nothing to the first decode, of one token; `buffers` are
what llama.cpp says that it allocated, `flash_attention` is what it decided (null: it does not say). Then, for
each line on stdin, one of

    {"prompt_tokens": 512, "generate_tokens": 0, "depth": 2048}     → {"seconds": 0.84, "threads": [1, 2]}
    {"do": "unload"}                                                → {}
    {"do": "load"}                                                  → {"load_s": 0.19}
    {"do": "memory"}                                                → {"grown_bytes": 120000000}

of which the first has one of its two counts 0 and is answered with all numbers of threads that were used, and
the last says how much larger the process is than before anything was loaded. An {"error": "…"} is the last
answer. End of file on stdin ends it.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from native import stdio
from native.attention import plain_micro_batch_tokens
from native.binding import api
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.offload import buffers, flash_attention, placed_on
from native.probe import take_snapshot
from native.threads import Threads

# llama-bench's micro-batch, and the worker's batch.
_BATCH_TOKENS = 512


class Tokens:
    """What is decoded: the tokens of a text over and over, or random ones."""

    def __init__(self, model: Model, text: str | None) -> None:
        self._random = random.Random(0)
        self._vocabulary_size = model.vocabulary_size
        self._text = model.tokenize(text, add_special=False, parse_special=False) if text else []
        self._next = 0

    def take(self, count: int) -> list[int]:
        if not self._text:
            return self._random.choices(range(self._vocabulary_size), k=count)
        taken = [self._text[(self._next + i) % len(self._text)] for i in range(count)]
        self._next += count
        return taken


class Stopwatch:
    """Times decodes behind a prefix, which is computed again only if it must be. `used` are all numbers of
    threads since the clock was started."""

    def __init__(self, context: Context, tokens: Tokens, threads: Threads | None = None) -> None:
        self._context = context
        self._tokens = tokens
        self._threads = threads
        self._depth = 0
        self.used: set[int] = set()

    def seconds(self, prompt_tokens: int, generate_tokens: int, depth: int) -> float:
        """Raises LlamaError."""
        self._go_to(depth)
        prompt, generated = self._tokens.take(prompt_tokens), self._tokens.take(generate_tokens)
        self.used.clear()
        started = time.perf_counter()
        self._prefill(prompt, depth)
        for position, token in enumerate(generated, depth + prompt_tokens):
            self._decode([token], position)
        seconds = time.perf_counter() - started
        if self._threads is not None:
            self._threads.adapt(goes_on=False)
        return seconds

    def _go_to(self, depth: int) -> None:
        if depth != self._depth or not self._context.keep_prefix(0, depth):
            self._context.clear(0)
            self._prefill(self._tokens.take(depth), 0)
        self._depth = depth

    def _prefill(self, tokens: list[int], position: int) -> None:
        for start in range(0, len(tokens), _BATCH_TOKENS):
            self._decode(tokens[start : start + _BATCH_TOKENS], position + start)

    def _decode(self, tokens: list[int], position: int) -> None:
        self._context.batch.clear()
        self._context.batch.add(0, position, tokens, outputs=1)
        if self._threads is not None:
            self._threads.adapt()
        self.used.add(self._context.threads)
        self._context.decode()
        # A GPU computes on while llama_decode returns.
        api.llama_synchronize(self._context.handle)


class Bench:
    """The model of one order, loaded or not."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._path = Path(order.pop("path"))
        self._gpu_layers: int = order.pop("gpu_layers")
        self._text: str | None = order.pop("text", None)
        threads = order.pop("threads")
        self._follows_load: bool = order.pop("follows_load", False)
        self._options = ContextOptions(
            sequences=1, batch_tokens=_BATCH_TOKENS, threads=threads, prefill_threads=threads, **order
        )
        self._log = Log()
        self._size_before_bytes = _size_bytes()

    def first_load(self) -> dict[str, Any]:
        load_s = self.load()
        # Such a file has a speed, too: that of nothing.
        if not np.isfinite(self._context.logits(0)).all():
            raise LlamaError("its logits are not numbers (NaN or infinite): the file is damaged")
        return {
            "devices": placed_on(self._log.infos),
            "hardware": asdict(take_snapshot()),
            "load_s": load_s,
            "buffers": [asdict(each) for each in buffers(self._log.infos)],
            "flash_attention": flash_attention(self._log.infos),
        }

    def load(self) -> float:
        """Seconds to the first decode: before it, a mapped file may not have been read. Raises LlamaError."""
        started = time.perf_counter()
        self._model = Model(self._path, self._gpu_layers, log=self._log, in_memory=True)
        self._context = Context(self._model, self._for(self._model))
        # Any token will do, and the first of a vocabulary needs no tokenizing.
        Stopwatch(self._context, Tokens(self._model, None)).seconds(0, 1, 0)
        load_s = time.perf_counter() - started
        for _ in self._model.use_huge_pages():
            pass
        threads = Threads(self._context) if self._follows_load else None
        if threads is not None:
            threads.settle()
        self._stopwatch = Stopwatch(self._context, Tokens(self._model, self._text), threads)
        return load_s

    def _for(self, model: Model) -> ContextOptions:
        """As a worker serves it."""
        if self._options.flash_attention is not False:
            return self._options
        most = plain_micro_batch_tokens(model.head_count, self._options.context_length, _BATCH_TOKENS)
        return replace(self._options, micro_batch_tokens=most)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises LlamaError."""
        match request.get("do"):
            case "load":
                return {"load_s": self.load()}
            case "unload":
                self._model.close()
                return {}
            case "memory":
                return {"grown_bytes": _size_bytes() - self._size_before_bytes}
        return {"seconds": self._stopwatch.seconds(**request), "threads": sorted(self._stopwatch.used)}


def main() -> None:
    answer, requests = stdio.answers(), stdio.take_stdin()
    try:
        bench = Bench(json.loads(requests.readline()))
        answer(bench.first_load())
        for line in requests:
            answer(bench.answer(json.loads(line)))
    except LlamaError as error:
        answer({"error": str(error)})


def _size_bytes() -> int:
    """Resident memory: shared pages count in full, since the weights may be mapped elsewhere as well."""
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
