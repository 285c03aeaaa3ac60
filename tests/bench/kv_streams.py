"""One KV cache for all sequences, or a stream for each: step times of both, in turn, on the same model.

    python -m tests.bench.kv_streams MODEL.gguf [ROUNDS [GPU_LAYERS]]

Three kinds of step: eight sequences that decode; four that decode beside 64 tokens of a fifth's prompt;
four that decode with 1,500 tokens each, with nothing in common. Ratios above 1 are for separate streams.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from native.binding import api
from native.llama import Context, ContextOptions, Model
from native.topology import physical_cores

SEQUENCES, CONTEXT_LENGTH, BATCH_TOKENS = 8, 2048, 512
SHORT, LONG, CHUNK = 40, 1500, 64
WARM_UP, STEPS = 2, 10

Step = list[tuple[int, int, int]]
"""Sequence, first position, number of tokens."""


def decode(context: Context, step: Step) -> float:
    """Seconds, until the device has really done it."""
    vocabulary = context.model.vocabulary_size
    context.batch.clear()
    for sequence, start, count in step:
        tokens = [(position * 7919 + sequence) % vocabulary for position in range(start, start + count)]
        context.batch.add(sequence, start, tokens, outputs=1)
    started = time.perf_counter()
    context.decode()
    api.llama_synchronize(context.handle)
    return time.perf_counter() - started


def fill(context: Context, lengths: dict[int, int]) -> None:
    for sequence in range(SEQUENCES):
        context.clear(sequence)
    for sequence, length in lengths.items():
        for start in range(0, length, BATCH_TOKENS):
            decode(context, [(sequence, start, min(BATCH_TOKENS, length - start))])


def repeat(context: Context, lengths: dict[int, int], chunk: int) -> list[float]:
    """Seconds of the same step, again and again: each sequence's next token, and `chunk` tokens of the next
    sequence's prompt."""
    fill(context, lengths)
    step: Step = [(sequence, length, 1) for sequence, length in lengths.items()]
    if chunk:
        step.append((len(lengths), 0, chunk))
    seconds = []
    for _ in range(WARM_UP + STEPS):
        seconds.append(decode(context, step))
        for sequence, start, _count in step:
            context.keep_prefix(sequence, start)
    return seconds[WARM_UP:]


CASES: dict[str, Callable[[Context], list[float]]] = {
    "8 sequences decode": lambda context: repeat(context, dict.fromkeys(range(8), SHORT), 0),
    "4 decode beside a chunk of 64": lambda context: repeat(context, dict.fromkeys(range(4), SHORT), CHUNK),
    "4 decode with 1,500 tokens each": lambda context: repeat(context, dict.fromkeys(range(4), LONG), 0),
}


def main(path: str, rounds: int = 5, gpu_layers: int = 0) -> None:
    model = Model(Path(path), gpu_layers)
    threads = physical_cores()
    contexts = {}
    for is_unified in (False, True):
        options = ContextOptions(
            CONTEXT_LENGTH, SEQUENCES, BATCH_TOKENS, threads, threads, kv_unified=is_unified
        )
        contexts[is_unified] = Context(model, options)
    for name, measure in CASES.items():
        medians: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(rounds):
            for is_unified, context in contexts.items():
                medians[is_unified].append(statistics.median(measure(context)))
        ratios = [unified / separate for separate, unified in zip(medians[False], medians[True], strict=True)]
        separate_ms, unified_ms = (1000 * statistics.median(medians[each]) for each in (False, True))
        print(
            f"{name}: separate {separate_ms:.1f} ms, unified {unified_ms:.1f} ms,"
            f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:]))
