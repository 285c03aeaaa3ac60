"""How long compute threads should spin before they sleep: decoding alone, and beside a busy process.

    python -m tests.bench.spinning MODEL.gguf [ROUNDS]

All counts are measured in turn in each round; the medians are tokens a second of one stream.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from pathlib import Path

from native.topology import physical_cores
from tests.bench.bare import decode_tps
from tests.bench.neighbour import neighbours

SPIN_COUNTS = ("", "300", "1000", "5000", "20000")
TOKENS = 80


def main(model: Path, rounds: int) -> None:
    threads = physical_cores()
    for busy in (0, 1):
        found: dict[str, list[float]] = defaultdict(list)
        with neighbours(busy):
            for _ in range(rounds):
                for count in SPIN_COUNTS:
                    environment = {"GOMP_SPINCOUNT": count} if count else {}
                    found[count].append(decode_tps(model, threads, TOKENS, environment=environment))
        for count, speeds in found.items():
            spread = f"{min(speeds):.1f}-{max(speeds):.1f}"
            median = statistics.median(speeds)
            print(f"{busy} busy, spin {count or 'default':>7}: {median:6.1f} tok/s ({spread})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
