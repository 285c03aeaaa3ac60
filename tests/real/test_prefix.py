"""What prefix reuse is worth: time to first token of a second turn, as a part of the first one's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from native.llama import Context, ContextOptions, Model
from runner.protocol import Generate, Sampling
from runner.worker.engine import Engine
from runner.worker.prefix.caches import PrefixLimits
from tests.fast.engine.driving import answer

SHORT = Sampling(temperature=0, max_tokens=8, ignore_eos=True)


@contextmanager
def engine(path: Path, folder: Path, batch_tokens: int = 512) -> Iterator[Engine]:
    model = Model(path, 0)
    context = Context(model, ContextOptions(4096, 1, batch_tokens, 1, 1))
    limits = PrefixLimits(512 << 20, str(folder / "key"), 512 << 20)
    running = Engine(context, 0.0, limits)
    yield running
    running.close()
    context.close()
    model.close()


def chat(topic: str, sentences: int = 146) -> str:
    """About 2,000 tokens."""
    said = " ".join(f"Item {n} of the {topic} list weighs {n * 7 % 90} grams." for n in range(sentences))
    return f"<|im_start|>user\n{said} Summarise.<|im_end|>\n<|im_start|>assistant\n"


def turn(prompt: str, text: str, question: str) -> str:
    return f"{prompt}{text}<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


def ttft_s(engine: Engine, prompt: str) -> tuple[float, int]:
    """Time to the first token, and how many of the prompt's tokens were cached."""
    started = time.perf_counter()
    engine.submit(Generate("timed", (prompt,), SHORT))
    while not any(delta.completion_tokens for delta in engine.step().deltas):
        pass
    first_s = time.perf_counter() - started
    while not engine.is_idle:
        (end,) = engine.step().finished or [None]
    assert end is not None
    return first_s, end.cached_tokens


def test_a_second_turn_starts_at_once(smollm2: Path, tmp_path: Path) -> None:
    """The fastest of three: other programs may take the processor for a while."""
    prompt, text = chat("first"), "It is heavy."
    questions = ("Why?", "How heavy?", "Is it so?")
    in_slot, from_memory = [], []
    with engine(smollm2, tmp_path) as slot:
        answer(slot, "Hello", SHORT)
        cold_s, cached = ttft_s(slot, prompt)
        assert cached == 0
        for question in questions:
            in_slot.append(ttft_s(slot, turn(prompt, text, question)))
        for question in questions:
            answer(slot, chat("second", 20), SHORT)
            from_memory.append(ttft_s(slot, turn(prompt, text + " Yes.", question)))
    with engine(smollm2, tmp_path) as slot:
        answer(slot, "Hello", SHORT)
        from_disk_s, cached = ttft_s(slot, turn(prompt, text + " No.", "Why?"))
    assert min(cached, *(tokens for _, tokens in in_slot + from_memory)) > 2000
    assert min(in_slot)[0] <= 0.05 * cold_s
    assert min(from_memory)[0] <= 0.10 * cold_s
    assert from_disk_s <= 0.25 * cold_s


@pytest.mark.parametrize("answer_tokens", [8, 280])
def test_a_sliding_window_goes_back_to_the_prompts_end(
    gemma3: Path, tmp_path: Path, answer_tokens: int
) -> None:
    """With batches of 64 the cache of gemma's windows of 512 has 256 tokens to spare: after a longer answer
    only a checkpoint goes back."""
    prompt = "The weather report of the week. " + " ".join(f"Day {n} was dry." for n in range(90))
    sampling = Sampling(temperature=0, max_tokens=answer_tokens, ignore_eos=True)
    with engine(gemma3, tmp_path, batch_tokens=64) as slot:
        first = answer(slot, prompt, sampling)
        again = answer(slot, prompt, SHORT)
    assert first.end.prompt_tokens > 520
    assert again.cached == first.end.prompt_tokens - 1
    assert first.text.startswith(again.text[:20])
