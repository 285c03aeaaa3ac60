"""A bare `llama_decode` loop: what the engine could reach if it cost nothing.

    python -m tests.bench.bare MODEL.gguf THREADS TOKENS [SEQUENCES [auto|on|off [unified]]]

Prints tokens a second: of one sequence after the first token, of several with the time that their prompts of
some 40 tokens take, all in one batch. `on` and `off` are for flash attention, `unified` is one KV cache for
all sequences. Weights are where the engine's are. What a long prompt beside a stream costs at least is in
`tests/bench/chunks.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from native.sampler import SamplerChain
from tests.bench.stream import words

_ATTENTION = {"auto": None, "on": True, "off": False}


def decode_tps(
    path: Path, threads: int, tokens: int, *more: str, environment: Mapping[str, str] | None = None
) -> float:
    """Measured in a process of its own, with these variables besides ours; `more` is what follows TOKENS."""
    command = [sys.executable, "-m", "tests.bench.bare", str(path), str(threads), str(tokens), *more]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables)
    return float(done.stdout)


class Loop:
    """Prompts that go on as each other's next token is sampled."""

    def __init__(self, path: Path, threads: int, sequences: int, attention: str, is_unified: bool) -> None:
        model = Model(path, 0, in_memory=True)
        for _ in model.use_huge_pages():
            pass
        self._context = Context(
            model,
            ContextOptions(
                2048 if sequences == 1 else 1024,
                sequences,
                512,
                threads,
                threads,
                flash_attention=_ATTENTION[attention],
                kv_unified=is_unified,
            ),
        )
        self._chains = [_chain(model) for _ in range(sequences)]
        self._model = model

    def tps(self, tokens: int) -> float:
        """After the first call the cache is as large as it gets."""
        count = len(self._chains)
        for sequence in range(count):
            self._context.clear(sequence)
        length = 30 if count == 1 else 17
        pending = [self._model.tokenize(words(length, 1 + each), add_special=True) for each in range(count)]
        positions = [0] * count
        started = time.perf_counter()
        for number in range(tokens):
            self._step(positions, pending)
            if number == 0 and count == 1:
                started = time.perf_counter()
        timed = tokens - 1 if count == 1 else tokens
        return timed * count / (time.perf_counter() - started)

    def _step(self, positions: list[int], pending: list[list[int]]) -> None:
        """Decodes what is pending, and samples what is then."""
        self._context.batch.clear()
        rows = []
        for sequence, tokens in enumerate(pending):
            rows.append(self._context.batch.add(sequence, positions[sequence], tokens, outputs=1) - 1)
            positions[sequence] += len(tokens)
        self._context.decode()
        for sequence, (chain, row) in enumerate(zip(self._chains, rows, strict=True)):
            pending[sequence] = [chain.sample(self._context, row)]


def _chain(model: Model) -> SamplerChain:
    chain = SamplerChain(model)
    chain.top_k(40)
    chain.top_p(0.9)
    chain.temperature(0.8)
    chain.draw(1)
    return chain


def main(path: str, threads: str, tokens: str, sequences: str = "1", *more: str) -> None:
    attention = more[0] if more else "auto"
    loop = Loop(Path(path), int(threads), int(sequences), attention, "unified" in more)
    loop.tps(2)
    print(loop.tps(int(tokens)))


if __name__ == "__main__":
    main(*sys.argv[1:])
