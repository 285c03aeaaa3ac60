"""A stream and a long prompt in a bare `llama_decode` loop: how short the gaps of the one can be at which
speed of the other, whatever schedules them.

    python -m tests.bench.chunks MODEL.gguf THREADS on|off|apart CHUNK_TOKENS

Each step has the stream's next token and then the prompt's next CHUNK_TOKENS, with flash attention on or off;
`apart` is the token without it and the chunk with it, in a context of its own. Prints the seconds of the
second longest step, which is the 99th percentile of a stream's gaps in 160 tokens, and of all steps.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from native.llama import Context, ContextOptions, Model
from tests.bench.stream import words

PROMPT_WORDS = 1380
"""Some 3,000 tokens."""


def gap_and_ttft_s(path: Path, threads: int, attention: str, chunk_tokens: int) -> tuple[float, float]:
    """The p99 gap of the stream, and the time to the prompt's first token, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.chunks", str(path), str(threads), attention]
    done = subprocess.run([*command, str(chunk_tokens)], check=True, capture_output=True, text=True)
    gap_s, ttft_s = map(float, done.stdout.split())
    return gap_s, ttft_s


def _steps_s(streams: Context, prompts: Context, chunk_tokens: int) -> list[float]:
    prompt = streams.model.tokenize(words(PROMPT_WORDS, 1), add_special=True)
    stream = streams.model.tokenize(words(20, 2), add_special=True)
    streams.batch.add(0, 0, stream, outputs=1)
    streams.decode()
    found = []
    for number, start in enumerate(range(0, len(prompt), chunk_tokens)):
        started = time.perf_counter()
        streams.batch.clear()
        streams.batch.add(0, len(stream) + number, stream[:1], outputs=1)
        streams.decode()
        prompts.batch.clear()
        prompts.batch.add(1, start, prompt[start : start + chunk_tokens], outputs=1)
        prompts.decode()
        found.append(time.perf_counter() - started)
    return found


def main(path: str, threads: str, attention: str, chunk_tokens: str) -> None:
    count, model = int(threads), Model(Path(path), 0)
    options = ContextOptions(4096, 2, 1024, count, count, flash_attention=attention == "on")
    streams = Context(model, options)
    is_apart = attention == "apart"
    prompts = Context(model, replace(options, flash_attention=True)) if is_apart else streams
    steps_s = _steps_s(streams, prompts, int(chunk_tokens))
    print(sorted(steps_s)[-2], sum(steps_s))


if __name__ == "__main__":
    main(*sys.argv[1:])
