"""A bare `llama_decode` loop with one sequence: what the engine could reach if it cost nothing.

    python -m tests.bench.bare MODEL.gguf THREADS TOKENS

Prints tokens a second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from native.log import Log
from native.sampler import SamplerChain
from tests.bench.stream import words


def decode_tps(path: Path, threads: int, tokens: int, environment: Mapping[str, str] | None = None) -> float:
    """Measured in a process of its own, with these variables besides ours."""
    command = [sys.executable, "-m", "tests.bench.bare", str(path), str(threads), str(tokens)]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    return float(done.stdout)


def _loop(path: Path, threads: int, tokens: int) -> float:
    model = Model(path, 0, lambda _fraction: True, Log())
    context = Context(model, ContextOptions(2048, 1, 512, threads, threads))
    chain = SamplerChain(model)
    chain.top_k(40)
    chain.top_p(0.9)
    chain.temperature(0.8)
    chain.draw(1)
    prompt = model.tokenize(words(30, 1), add_special=True)
    position, pending = 0, prompt
    started = 0.0
    for _ in range(tokens):
        context.batch.clear()
        row = context.batch.add(0, position, pending, outputs=1) - 1
        context.decode()
        position += len(pending)
        pending = [chain.sample(context, row)]
        started = started or time.perf_counter()
    return (tokens - 1) / (time.perf_counter() - started)


if __name__ == "__main__":
    print(_loop(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
