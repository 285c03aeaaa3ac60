"""Short requests of a client that works between them, against one that sleeps as long: what it does while the
model rests should cost the model no thread.

    python -m tests.bench.short_requests MODEL.gguf [ROUNDS]

Prints the median milliseconds of the requests of both kinds, in turn, and the ratio of each round.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.servers import MODEL, Setup, nybble
from tests.bench.stream import complete, words

_REQUESTS = 24
_BETWEEN_S = 0.025
_REST_S = 2.0


def _work(seconds: float) -> None:
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        pass


def _median_ms(address: str, number: int, between: Callable[[float], None]) -> float:
    """Of requests for two tokens, behind a rest in which everything is forgotten."""
    time.sleep(_REST_S)
    found = []
    for each in range(_REQUESTS):
        timed = asyncio.run(complete(address, MODEL, words(1, number * _REQUESTS + each), 2))
        found.append((timed.pieces_s[-1] - timed.sent_s) * 1e3)
        between(_BETWEEN_S)
    return statistics.median(found)


def main(model: str, rounds: str = "5") -> None:
    with nybble(Setup(Path(model))) as daemon:
        asyncio.run(complete(daemon.address, MODEL, words(20, 0), 30))
        working, sleeping = [], []
        for number in range(int(rounds)):
            sleeping.append(_median_ms(daemon.address, 2 * number, time.sleep))
            working.append(_median_ms(daemon.address, 2 * number + 1, _work))
    ratios = sorted(a / b for a, b in zip(working, sleeping, strict=True))
    print(f"a client that works {statistics.median(working):.1f} ms, that sleeps", end=" ")
    print(f"{statistics.median(sleeping):.1f} ms, ratio {statistics.median(ratios):.2f}", end=" ")
    print(f"({ratios[0]:.2f}-{ratios[-1]:.2f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
