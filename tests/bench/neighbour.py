"""Decode speed beside a spinning process: all threads all the time, against threads that notice the machine.

    python -m tests.bench.neighbour MODEL.gguf [ROUNDS]

The two are measured in turn, in each round, on the same context; the ratio is of the same minute.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from native.threads import Threads
from native.topology import physical_cores

SECONDS = 6.0
WARM_UP_S = 1.5


def spin() -> None:
    while True:
        pass


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    processes = [multiprocessing.Process(target=spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def decode_tps(context: Context, threads: Threads | None) -> float:
    """Tokens a second of one sequence, after a warm-up in which threads may adapt."""
    context.clear(0)
    token, position = max(context.model.bos_token, 1), 0
    started, counted_from = time.perf_counter(), 0
    measured_from = started
    while (now := time.perf_counter()) - started < WARM_UP_S + SECONDS:
        if now - started >= WARM_UP_S and not counted_from:
            measured_from, counted_from = now, position
        if position == context.options.context_length:
            context.clear(0)
            counted_from -= position
            position = 0
        context.batch.clear()
        context.batch.add(0, position, [token], outputs=1)
        context.decode()
        position += 1
        if threads:
            threads.adapt()
    return (position - counted_from) / (time.perf_counter() - measured_from)


def main() -> None:
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    most = physical_cores()
    model = Model(Path(sys.argv[1]), 0)
    context = Context(model, ContextOptions(512, 1, 64, most, most))
    for busy in (0, 1):
        fixed, adaptive = [], []
        with neighbours(busy):
            for _ in range(rounds):
                context.set_threads(most, most)
                fixed.append(decode_tps(context, None))
                adaptive.append(decode_tps(context, Threads(context)))
        ratios = [b / a for a, b in zip(fixed, adaptive, strict=True)]
        print(f"{busy} neighbours, {most} threads at most: fixed {_spread(fixed)} tok/s,", end=" ")
        print(f"adaptive {_spread(adaptive)} tok/s, ratio {_spread(ratios)}")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
