"""TTFT of a second turn after 2,000 tokens against that of the first: in its slot, after another chat pushed
it out, and after a restart of the daemon.

    python -m tests.bench.second_turn MODEL.gguf [ROUNDS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.bench.servers import MODEL, Setup, settings
from tests.bench.stream import complete, words
from tests.daemons import Daemon

FIRST_TURN_WORDS = 920


def ttft_s(daemon: Daemon, prompt: str) -> float:
    return asyncio.run(complete(daemon.address, MODEL, prompt, 16)).ttft_s


def measure(home: Path, setup: Setup, number: int) -> dict[str, float]:
    """One slot, so that another chat must push the first one out."""
    environment = settings(setup)
    first = words(FIRST_TURN_WORDS, number)
    found = {}
    with Daemon(home, environment) as daemon:
        daemon.add_model(setup.model, MODEL)
        ttft_s(daemon, words(20, 0))
        found["cold"] = ttft_s(daemon, first)
        found["in slot"] = ttft_s(daemon, first + " What then?")
        ttft_s(daemon, words(FIRST_TURN_WORDS, number + 100))
        found["pushed out"] = ttft_s(daemon, first + " And what after that?")
    with Daemon(home, environment) as daemon:
        found["after a restart, loading included"] = ttft_s(daemon, first + " How did it end?")
    return found


def main(model: Path, rounds: int) -> None:
    ratios: dict[str, list[float]] = defaultdict(list)
    for number in range(1, rounds + 1):
        with tempfile.TemporaryDirectory(prefix="nybble-bench-") as home:
            found = measure(Path(home), Setup(model, slots=1), number)
        print(f"cold: {found['cold']:.2f} s")
        for name, seconds in found.items():
            ratios[name].append(seconds / found["cold"])
    for name, values in ratios.items():
        print(f"{name:36} {statistics.median(values):.3f} of cold ({min(values):.3f}-{max(values):.3f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
