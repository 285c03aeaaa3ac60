"""Scratch memory of ggml's kernels that begins with a page, against where `new` puts it.

    python -m tests.bench.scratch MODEL.gguf [DEPTH_TOKENS [ROUNDS]]

Four contexts in one process, of each kind two, decode in turn: 256 tokens behind DEPTH_TOKENS others, then
one by one. Prints how much longer it takes with `new`: the median of the rounds, and their quartiles. Linux
only.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from pathlib import Path

from native.linux_scratch import new_entries
from native.llama import Context, ContextOptions, Model

_M_MMAP_THRESHOLD = -3
_CHUNK_TOKENS, _DECODES = 256, 8
Times = list[list[float]]


def _decode_s(context: Context, position: int, count: int) -> float:
    tokens = [7919 * (position + each) % context.model.vocabulary_size for each in range(count)]
    context.batch.clear()
    context.batch.add(0, position, tokens, outputs=1)
    started = time.perf_counter()
    context.decode()
    return time.perf_counter() - started


def _filled(model: Model, depth: int) -> Context:
    """The first whole batch is when the scratch memory gets as large as it stays."""
    context = Context(model, ContextOptions(4096, 1, 512, 2, 2, flash_attention=True))
    for position in range(0, max(depth, 512), 512):
        _decode_s(context, position, 512)
    return context


def _contexts(model: Model, depth: int) -> list[Context]:
    """With aligned memory, with `new`, and the same again."""
    # Else what was freed decides where the next memory begins.
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 128 * 1024)
    (entry,) = new_entries()
    new = ctypes.cast(ctypes.CDLL("libstdc++.so.6")._Znam, ctypes.c_void_p).value
    contexts = []
    for function in (entry.value, new) * 2:
        entry.value = function
        contexts.append(_filled(model, depth))
    return contexts


def _report(what: str, times: Times) -> None:
    ratios = [(b + d) / (a + c) for a, b, c, d in zip(*times, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    print(f"{what}: with new, {median:.3f} times as long (quartiles {low:.3f} to {high:.3f})")


def main(path: str, depth_tokens: str = "1024", rounds: str = "12") -> None:
    depth = int(depth_tokens)
    contexts = _contexts(Model(Path(path), 0), depth)
    chunks: Times = [[] for _ in contexts]
    decodes: Times = [[] for _ in contexts]
    for number in range(int(rounds)):
        for index in (0, 1, 2, 3) if number % 2 else (3, 2, 1, 0):
            context = contexts[index]
            context.keep_prefix(0, depth)
            chunks[index].append(_decode_s(context, depth, _CHUNK_TOKENS))
            context.keep_prefix(0, depth)
            decodes[index].append(sum(_decode_s(context, depth + each, 1) for each in range(_DECODES)))
    _report(f"{_CHUNK_TOKENS} tokens behind {depth}", chunks)
    _report(f"a token behind {depth}", decodes)


if __name__ == "__main__":
    main(*sys.argv[1:])
