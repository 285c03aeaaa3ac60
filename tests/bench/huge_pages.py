"""Weights in huge pages, against weights that are mapped from the file.

    python -m tests.bench.huge_pages MODEL.gguf [THREADS [ROUNDS]]

Both in one process decode in turn, one token and eight at a time. Prints how much longer it takes with the
mapped ones: the median of the rounds, and their quartiles. Linux only.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from native.llama import Context, ContextOptions, Model

_DECODES = 12


def _context(model: Model, threads: int) -> Context:
    return Context(model, ContextOptions(512, 8, 64, threads, threads))


def _decode_s(context: Context, sequences: int) -> float:
    vocabulary = context.model.vocabulary_size
    started = time.perf_counter()
    for step in range(_DECODES):
        context.batch.clear()
        for sequence in range(sequences):
            token = 7919 * (step * sequences + sequence) % vocabulary
            context.batch.add(sequence, step, [token], outputs=1)
        context.decode()
    seconds = time.perf_counter() - started
    for sequence in range(sequences):
        context.clear(sequence)
    return seconds


def main(path: str, threads: str = "2", rounds: str = "30") -> None:
    huge = Model(Path(path), 0, in_memory=True)
    for _ in huge.use_huge_pages():
        pass
    contexts = [_context(model, int(threads)) for model in (huge, Model(Path(path), 0))]
    for sequences in (1, 8):
        ratios = []
        for number in range(int(rounds) + 1):
            order = contexts if number % 2 else contexts[::-1]
            seconds = {context: _decode_s(context, sequences) for context in order}
            ratios.append(seconds[contexts[1]] / seconds[contexts[0]])
        low, median, high = statistics.quantiles(ratios[1:], n=4)
        print(
            f"{sequences} at a time: mapped, {median:.3f} times as long (quartiles {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
