"""One worker: loading to the first token, its memory, and Python's share of a decode step.

    python -m tests.bench.worker MODEL.gguf [ROUNDS]

The share is CPU time of the engine's thread outside of `llama_decode`, sampling included, of all of it.
The memory is the worker's resident set after an answer, less what loading the model and decoding as many
tokens adds to a bare process: weights, KV cache and compute buffers as far as they are touched.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil

from native.llama import Context, ContextOptions, Model
from native.sampler import hasten
from native.topology import physical_cores
from runner.process import Worker
from runner.protocol import Delta, Generate, Load, Sampling, encode
from runner.worker.engine import Engine
from runner.worker.loading import BATCH_TOKENS
from tests.bench.stream import words

STREAMS, TOKENS = 8, 100
CONTEXT_LENGTH, SLOTS, PROMPT_WORDS = 8192, 4, 20


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


async def first_token(path: Path) -> tuple[float, int]:
    """Seconds from starting a worker to its first token, and its resident bytes then."""
    started = time.perf_counter()
    threads = physical_cores()
    load = Load(str(path), CONTEXT_LENGTH, SLOTS, 0, threads, threads, 0.5)
    worker = await Worker.start("bench", load, lambda _fraction: None)
    request = Generate("one", (words(PROMPT_WORDS, 1),), Sampling(max_tokens=2, ignore_eos=True))
    async for update in worker.generate(request):
        if isinstance(update, Delta) and update.text:
            first_s = time.perf_counter() - started
    resident_bytes = psutil.Process(worker.pid).memory_info().rss
    await worker.stop()
    return first_s, resident_bytes


def buffer_bytes(path: Path) -> int:
    """What a model and a context like the worker's add to the resident bytes of this process."""
    process = psutil.Process()
    before = process.memory_info().rss
    model = Model(path, 0)
    threads = physical_cores()
    context = Context(model, ContextOptions(CONTEXT_LENGTH, SLOTS, BATCH_TOKENS, threads, threads))
    tokens = model.tokenize(words(PROMPT_WORDS, 1), add_special=True)
    context.batch.add(0, 0, tokens, outputs=1)
    context.decode()
    return int(process.memory_info().rss) - before


def memory_beyond_buffers_mib(path: Path, resident_bytes: int) -> float:
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh) as processes:
        return (resident_bytes - processes.submit(buffer_bytes, path).result()) / 2**20


def main(path: Path, rounds: int) -> None:
    starts = [asyncio.run(first_token(path)) for _ in range(rounds)]
    model = Model(path, 0)
    hasten()
    shares = [python_share(model) for _ in range(rounds)]
    columns = {
        "worker start to first token (s)": [seconds for seconds, _ in starts],
        "worker memory beyond weights and buffers (MiB)": [
            memory_beyond_buffers_mib(path, resident_bytes) for _, resident_bytes in starts
        ],
        f"Python and sampling, part of a step of {STREAMS} streams": shares,
    }
    for name, values in columns.items():
        print(f"{name:56} {statistics.median(values):7.3f} ({min(values):.3f}-{max(values):.3f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
