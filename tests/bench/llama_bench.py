"""`nybble bench` and llama-bench on the same file: prefill and decode in tokens a second, and their ratio.

    python -m tests.bench.llama_bench MODEL.gguf LLAMA_BENCH [ROUNDS] [DEPTH]

LLAMA_BENCH is a llama-bench of the same llama.cpp as the binding's. The two are measured in turn, in each
round, each after a warm-up; the ratio is of the same minute.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
from pathlib import Path

from native.topology import physical_cores
from runner.bench.alone import Engine
from runner.bench.plan import Plan, Test
from runner.compare import variant


def theirs(binary: str, model: str, test: Test, threads: int) -> float:
    counts = ["-p", str(test.prompt_tokens), "-n", str(test.generate_tokens), "-d", str(test.depth)]
    command = [binary, "-m", model, *counts, "-t", str(threads), "-r", "1", "-o", "json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (row,) = json.loads(done.stdout)
    return float(row["avg_ts"])


async def ours(engine: Engine, test: Test) -> float:
    await engine.timed(test)
    taken_s, _ = await engine.timed(test)
    return test.tokens / taken_s


async def measure(model: str, binary: str, rounds: int, depth: int) -> None:
    plan, threads = Plan(depths=(depth,)), physical_cores()
    setting = variant.Engine(plan.context_length, threads, gpu_layers=0)
    speeds: dict[str, list[tuple[float, float]]] = {test.name: [] for test in plan.tests}
    async with Engine.running(model, setting) as engine:
        for _ in range(rounds):
            for test in plan.tests:
                pair = await ours(engine, test), theirs(binary, model, test, threads)
                speeds[test.name].append(pair)
    for name, pairs in speeds.items():
        mine, others = zip(*pairs, strict=True)
        ratios = [a / b for a, b in pairs]
        print(f"{name}, {threads} threads: nybble {_spread(mine)}, llama-bench {_spread(others)}", end=" ")
        print(f"tok/s, ratio {_spread(ratios)}")


def _spread(values: tuple[float, ...] | list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    model, binary, *numbers = sys.argv[1:]
    rounds, depth = (*map(int, numbers), *(5, 0)[len(numbers) :])
    asyncio.run(measure(str(Path(model).absolute()), binary, rounds, depth))


if __name__ == "__main__":
    main()
