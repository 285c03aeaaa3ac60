"""One worker: loading to the first token, and Python's share of a decode step.

    python -m tests.bench.worker MODEL.gguf [ROUNDS]

The share is CPU time of the engine's thread outside of `llama_decode`, sampling included, of all of it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.sampler import hasten
from native.topology import physical_cores
from runner.process import Worker
from runner.protocol import Delta, Generate, Load, Sampling, encode
from runner.worker.engine import Engine
from tests.bench.stream import words

STREAMS, TOKENS = 8, 100


class TimedContext(Context):
    """Counts the CPU time of this thread in decodes."""

    decode_cpu_s = 0.0

    def decode(self) -> bool:
        started = time.thread_time()
        try:
            return super().decode()
        finally:
            self.decode_cpu_s += time.thread_time() - started


def python_share(model: Model) -> float:
    """With one compute thread, whose CPU time is then all of the decode's."""
    context = TimedContext(model, ContextOptions(1024, STREAMS, 512, 1, 1))
    engine = Engine(context, 0.0)
    for number in range(STREAMS):
        sampling = Sampling(max_tokens=TOKENS, ignore_eos=True, seed=number)
        engine.submit(Generate(str(number), (words(20, number),), sampling, speculation=False))
    encode(engine.step())
    started, context.decode_cpu_s = time.thread_time(), 0.0
    while not engine.is_idle:
        encode(engine.step())
    total_s = time.thread_time() - started
    context.close()
    return 1 - context.decode_cpu_s / total_s


async def first_token_s(path: Path) -> float:
    """Seconds from starting a worker to its first token."""
    started = time.perf_counter()
    threads = physical_cores()
    load = Load(str(path), 8192, 4, 0, threads, threads, 0.5)
    worker = await Worker.start("bench", load, lambda _fraction: None)
    request = Generate("one", (words(20, 1),), Sampling(max_tokens=2, ignore_eos=True))
    async for update in worker.generate(request):
        if isinstance(update, Delta) and update.text:
            first_s = time.perf_counter() - started
            break
    await worker.stop()
    return first_s


def main(path: Path, rounds: int) -> None:
    seconds = [asyncio.run(first_token_s(path)) for _ in range(rounds)]
    model = Model(path, 0, lambda _fraction: True, Log())
    hasten()
    shares = [python_share(model) for _ in range(rounds)]
    columns = {
        "worker start to first token (s)": seconds,
        f"Python and sampling, part of a step of {STREAMS} streams": shares,
    }
    for name, values in columns.items():
        print(f"{name:56} {statistics.median(values):7.3f} ({min(values):.3f}-{max(values):.3f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
