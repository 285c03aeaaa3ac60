"""Generating past the end of the context, on a real model in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from native.llama import Context, ContextOptions, Model
from runner.protocol import Delta, Finished, Generate, Sampling
from runner.worker.engine import Engine
from runner.worker.shifting import shift
from runner.worker.slots import Slot

CONTEXT_LENGTH = 256
BEGINNING = "This is the manual of a program."
PROMPT = BEGINNING + " It lists files and directories, one a line, sorted by name." * 8


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    context = Context(model, ContextOptions(CONTEXT_LENGTH, 2, 256, 1, 1))
    yield context
    context.close()


def generate(context: Context, overflow: str, max_tokens: int = 400) -> tuple[str, Finished]:
    engine = Engine(context, 0.0)
    sampling = Sampling(temperature=0, max_tokens=max_tokens, ignore_eos=True)
    kept = len(BEGINNING)
    engine.submit(
        Generate("a", (PROMPT,), sampling, overflow=overflow, kept_characters=kept)  # type: ignore[arg-type]
    )
    deltas: list[Delta] = []
    while True:
        step = engine.step()
        assert not step.failed
        deltas += step.deltas
        if step.finished:
            return "".join(delta.text for delta in deltas), step.finished[0]


def test_shift_goes_on_past_the_end_and_says_what_was_forgotten(context: Context) -> None:
    assert context.can_shift
    text, finished = generate(context, "shift")
    assert (finished.reason, finished.completion_tokens) == ("length", 400)
    assert finished.prompt_tokens + 400 - finished.shifted_tokens <= CONTEXT_LENGTH
    # Up to where the context was full nothing is different.
    whole, ended = generate(context, "error")
    assert ended.shifted_tokens == 0 and ended.prompt_tokens + ended.completion_tokens == CONTEXT_LENGTH
    assert text.startswith(whole[:-8])


def test_the_cache_after_a_shift_holds_the_rest_at_the_positions_it_moved_to(context: Context) -> None:
    engine = Engine(context, 0.0)
    sampling = Sampling(temperature=0, max_tokens=400, ignore_eos=True)
    engine.submit(Generate("a", (PROMPT,), sampling, overflow="shift", kept_characters=len(BEGINNING)))
    # One says that the prompt is read, eight decode.
    for _ in range(9):
        engine.step()
    ((slot, sequence),) = engine._busy()
    before, computed = list(sequence.tokens), sequence.computed
    kept = len(context.model.tokenize(BEGINNING, add_special=True))
    shift(context, slot, sequence)
    forgotten = sequence.shifted
    assert forgotten == (computed - kept) // 2
    assert sequence.tokens == before[:kept] + before[kept + forgotten :]
    assert context.positions(slot.index) == (0, computed - forgotten - 1)
    assert not sequence.is_prefilling and sequence.completion_length == 8


def test_what_a_shift_keeps_is_counted_when_the_prompt_is_read(context: Context, model: Model) -> None:
    first, second = "This is the manual", " of a program. It lists files."
    request = Generate("a", (first, second), Sampling(), kept_characters=len(first) + len(" of a program."))
    kept = model.tokenize(first, add_special=True) + model.tokenize(" of a program.", add_special=False)
    engine = Engine(context, 0.0)
    assert engine.read(request).kept == len(kept)
    whole = engine.read(replace(request, kept_tokens=-1))
    assert (whole.kept, engine.read(replace(request, kept_tokens=3)).kept) == (len(whole.tokens), 3)


def test_what_was_shifted_is_never_taken_for_a_prompts_prefix(context: Context, model: Model) -> None:
    engine = Engine(context, 0.0)
    sampling = Sampling(temperature=0, max_tokens=400, ignore_eos=True)
    engine.submit(Generate("a", (PROMPT,), sampling, overflow="shift", kept_characters=len(BEGINNING)))
    while not engine.is_idle:
        engine.step()
    slots: list[Slot] = engine._slots
    kept = model.tokenize(BEGINNING, add_special=True)
    assert list(slots[0].cached) == kept
    assert context.positions(0) == (0, len(kept) - 1)


def test_a_prompt_that_leaves_too_little_room_is_refused_with_both_numbers(context: Context) -> None:
    engine = Engine(context, 0.0)
    tokens = len(context.model.tokenize(PROMPT, add_special=True))
    room = CONTEXT_LENGTH - tokens
    engine.submit(Generate("fits", (PROMPT,), Sampling(max_tokens=1), room_tokens=room))
    engine.submit(Generate("does not", (PROMPT,), Sampling(max_tokens=1), room_tokens=room + 1))
    failed = engine.step().failed
    assert [(f.request_id, f.prompt_tokens, f.context_length) for f in failed] == [
        ("does not", tokens, CONTEXT_LENGTH)
    ]
