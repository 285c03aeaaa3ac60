"""What a command and the daemon take to start: wall clock and processor time, best and median, and memory.

    python -m tests.bench.startup [ROUNDS]

All are measured in turn in each round, so that a slow minute of the machine meets them all. On a busy machine
the best round says most.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.daemons import NYBBLE, Daemon

TINY = Path(__file__).parents[1] / "data" / "nybble-tiny-f16.gguf"
COMMANDS = (["--version"], ["--help"], ["list"], ["ps"], ["list", "--help"])


def command(arguments: list[str], home: Path) -> tuple[float, float]:
    """Wall clock and processor seconds of one command."""
    before, started = os.times(), time.perf_counter()
    environment = {**os.environ, "NYBBLE_HOME": str(home)}
    subprocess.run([*NYBBLE, *arguments], env=environment, check=True, capture_output=True)
    after = os.times()
    processor_s = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - started, processor_s


def daemon_start() -> tuple[float, float]:
    """Wall clock from start to the line that says it serves, and processor seconds until then."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Daemon(Path(folder) / "home") as daemon:
            ready_s = time.perf_counter() - started
            times = psutil.Process(daemon.pid).cpu_times()
            return ready_s, times.user + times.system


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    figures: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder) / "home") as daemon:
        daemon.add_model(TINY, "tiny")

        def asked(arguments: list[str]) -> Callable[[], tuple[float, float]]:
            return lambda: command(arguments, daemon.home)

        measures = {f"nybble {' '.join(each)}": asked(each) for each in COMMANDS}
        measures["daemon, start to ready"] = daemon_start
        for _ in range(rounds):
            for name, measure in measures.items():
                figures.setdefault(name, []).append(measure())
        for name, pairs in figures.items():
            wall_s, processor_s = zip(*pairs, strict=True)
            print(f"{name:<24} {_spread(wall_s)}, processor {_spread(processor_s)}")
        print(f"{'daemon, idle':<24} {psutil.Process(daemon.pid).memory_info().rss / 2**20:.0f} MiB")


def _spread(seconds: tuple[float, ...]) -> str:
    return f"best {min(seconds):.3f} s, median {statistics.median(seconds):.3f} s"


if __name__ == "__main__":
    main()
