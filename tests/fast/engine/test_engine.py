"""The engine on a real model, in this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from native import state
from native.llama import Context, ContextOptions, Model
from native.log import Log
from runner.protocol import Delta, Finished, Generate, Sampling, Stepped
from runner.worker.engine import Engine

GREEDY = Sampling(temperature=0, max_tokens=24)
PROMPTS = [
    "The list command shows",
    "def main(arguments):",
    "In the beginning there was a file and",
    "SYNOPSIS",
    "Perl is a language that",
    "It returns the number of",
    "If the option is given,",
    "The weather in the north",
]


@pytest.fixture
def engine(model: Model) -> Iterator[Engine]:
    with_slots = _engine(model, 8)
    yield with_slots
    with_slots._context.close()


def _engine(model: Model, slots: int, prefill_step_s: float = 0.0) -> Engine:
    return Engine(Context(model, ContextOptions(512, slots, 256, 1, 1)), prefill_step_s)


def run(engine: Engine, steps: int = 10_000) -> dict[str, tuple[str, Finished]]:
    """Text and end of every request, from stepping until idle."""
    texts: dict[str, str] = {}
    ends: dict[str, Finished] = {}
    while not engine.is_idle and steps:
        steps -= 1
        step = engine.step()
        assert not step.failed
        for delta in step.deltas:
            texts[delta.request_id] = texts.get(delta.request_id, "") + delta.text
        for finished in step.finished:
            assert finished.request_id not in ends, "a request ended twice"
            ends[finished.request_id] = finished
    return {key: (texts.get(key, ""), end) for key, end in ends.items()}


def generate(
    engine: Engine, prompt: str, sampling: Sampling = GREEDY, name: str = "one"
) -> tuple[str, Finished]:
    engine.submit(Generate(name, (prompt,), sampling))
    return run(engine)[name]


def long_prompt(words: int) -> str:
    return " ".join(f"word{i % 97}" for i in range(words))


def test_eight_together_say_what_each_says_alone(engine: Engine, model: Model) -> None:
    alone = {}
    for prompt in PROMPTS:
        single = _engine(model, 1)
        alone[prompt] = generate(single, prompt)[0]
        single._context.close()
    for prompt in PROMPTS:
        engine.submit(Generate(prompt, (prompt,), GREEDY))
    together = run(engine)
    assert {prompt: together[prompt][0] for prompt in PROMPTS} == alone


def test_more_requests_than_slots_wait_their_turn(model: Model) -> None:
    engine = _engine(model, 2)
    for prompt in PROMPTS:
        engine.submit(Generate(prompt, (prompt,), GREEDY))
    first = engine.step()
    assert (first.busy_slots, first.waiting) == (2, 6)
    assert set(run(engine)) == set(PROMPTS)
    engine._context.close()


def test_a_seed_repeats_and_another_differs(engine: Engine) -> None:
    sampling = Sampling(temperature=1.0, seed=7, max_tokens=24)
    texts = [generate(engine, PROMPTS[0], sampling)[0] for _ in range(2)]
    other = generate(engine, PROMPTS[0], Sampling(temperature=1.0, seed=8, max_tokens=24))[0]
    assert texts[0] == texts[1] != other


def test_top_k_of_one_is_greedy(engine: Engine) -> None:
    sampling = Sampling(temperature=1.5, top_k=1, seed=1, max_tokens=24)
    assert generate(engine, PROMPTS[1], sampling)[0] == generate(engine, PROMPTS[1])[0]


def test_a_repeat_penalty_changes_a_text_that_repeats(engine: Engine) -> None:
    prompt = "a b a b a b a b a b a b"
    penalised = Sampling(temperature=0, max_tokens=24, repeat_penalty=1.8)
    assert generate(engine, prompt)[0] != generate(engine, prompt, penalised)[0]


def test_a_prefix_in_the_slot_is_reused_and_changes_nothing(engine: Engine, model: Model) -> None:
    prompt = long_prompt(60)
    _, first = generate(engine, prompt)
    text, second = generate(engine, prompt + " and then")
    fresh = _engine(model, 1)
    expected, _ = generate(fresh, prompt + " and then")
    fresh._context.close()
    assert first.cached_tokens == 0
    assert first.prompt_tokens - 2 <= second.cached_tokens < second.prompt_tokens
    assert text == expected


def test_that_a_long_prompt_is_read_is_said_before_the_first_decode(engine: Engine) -> None:
    engine.submit(Generate("a", (long_prompt(200),), GREEDY))
    (said,) = engine.step().deltas
    assert said == Delta("a", prompt_tokens_done=0, prompt_tokens_total=said.prompt_tokens_total)
    (read,) = engine.step().deltas
    assert read.prompt_tokens_done
    run(engine)


def test_a_long_prompt_leaves_room_for_a_running_stream(model: Model) -> None:
    engine = _engine(model, 2, prefill_step_s=1e-6)
    engine.submit(Generate("stream", (PROMPTS[0],), Sampling(temperature=0, max_tokens=40)))
    engine.step()
    engine.submit(Generate("long", (long_prompt(120),), GREEDY))
    steps = [engine.step() for _ in range(6)]
    whose = [[d.request_id for d in step.deltas] for step in steps]
    assert whose == [["stream"], ["long"]] * 3
    run(engine)
    engine._context.close()


def test_a_stop_string_ends_the_text_before_it(engine: Engine) -> None:
    whole, _ = generate(engine, PROMPTS[0])
    stop = whole[10:13]
    text, end = generate(engine, PROMPTS[0], Sampling(temperature=0, max_tokens=24, stop=(stop,)))
    assert (text, end.reason) == (whole[: whole.index(stop)], "stop")


def test_no_tokens_asked_for_reads_the_prompt_only(engine: Engine) -> None:
    text, end = generate(engine, PROMPTS[0], Sampling(temperature=0, max_tokens=0))
    assert (text, end.reason, end.completion_tokens) == ("", "length", 0)


def test_a_full_context_ends_with_length(engine: Engine) -> None:
    _, end = generate(engine, long_prompt(100), Sampling(temperature=0, max_tokens=2000, ignore_eos=True))
    assert (end.reason, end.prompt_tokens + end.completion_tokens) == ("length", 512)


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(engine: Engine) -> None:
    engine.submit(Generate("big", (long_prompt(2000),), GREEDY))
    step = engine.step()
    (failed,) = step.failed
    assert (failed.status, failed.code) == (400, "context_length_exceeded")
    assert "512" in failed.message
    assert failed.hint and "num_ctx" in failed.hint
    assert engine.is_idle


def test_a_larger_context_is_not_advised_where_the_model_knows_none(model: Model) -> None:
    context = Context(model, ContextOptions(model.trained_context_length, 1, 256, 1, 1))
    whole = Engine(context, 0.0)
    whole.submit(Generate("big", (long_prompt(4000),), GREEDY))
    (failed,) = whole.step().failed
    context.close()
    assert failed.hint == "shorten it or leave out the oldest turns (`overflow`)"


def test_megabytes_that_cannot_fit_are_refused_unread(engine: Engine) -> None:
    """The tokenizer takes minutes for as many blanks."""
    started = time.process_time()
    engine.submit(Generate("blanks", (" " * 2**22,), GREEDY))
    (failed,) = engine.step().failed
    assert time.process_time() - started < 2
    assert (failed.status, failed.code, failed.context_length) == (400, "context_length_exceeded", 512)
    assert f"at least {failed.prompt_tokens} tokens" in failed.message


@pytest.mark.parametrize("steps_before", [0, 1, 2, 8])
def test_cancel_frees_the_slot_at_the_next_step_in_every_phase(model: Model, steps_before: int) -> None:
    engine = _engine(model, 1, prefill_step_s=1e-6)
    engine.submit(Generate("cancelled", (long_prompt(90),), Sampling(temperature=0, max_tokens=400)))
    engine.submit(Generate("waiting", (PROMPTS[0],), GREEDY))
    for _ in range(steps_before):
        engine.step()
    engine.cancel("waiting")
    engine.cancel("cancelled")
    step: Stepped = engine.step()
    assert {f.request_id: f.reason for f in step.finished} == {
        "cancelled": "cancelled",
        "waiting": "cancelled",
    }
    assert step.busy_slots == 0
    assert generate(engine, PROMPTS[0])[1].reason == "length"
    engine._context.close()


def test_cancelling_what_has_ended_is_no_error(engine: Engine) -> None:
    generate(engine, PROMPTS[0])
    engine.cancel("one")
    assert engine.is_idle


def test_segments_keep_a_spelled_control_token_text(model: Model) -> None:
    token = next(iter(model.control_tokens()))
    (special,) = model.tokenize(token, add_special=False)
    half = len(token) // 2
    split = model.tokenize(token[:half], add_special=False) + model.tokenize(token[half:], add_special=False)
    assert special not in split
    assert b"".join(model.piece(t) for t in split).decode() == token


def test_saved_state_restores_the_sequence(model: Model) -> None:
    context = Context(model, ContextOptions(128, 2, 128, 1, 1))
    tokens = model.tokenize("A state that is saved", add_special=True)
    context.batch.clear()
    row = context.batch.add(0, 0, tokens, outputs=1) - 1
    context.decode()
    expected = list(context.logits(row))
    saved = state.save(context, 0)
    context.clear(0)
    assert context.positions(0) == (-1, -1)
    assert state.restore(context, 1, saved)
    assert context.positions(1) == (0, len(tokens) - 1)
    assert context.keep_prefix(1, len(tokens) - 1)
    context.batch.clear()
    row = context.batch.add(1, len(tokens) - 1, tokens[-1:], outputs=1) - 1
    context.decode()
    assert list(context.logits(row)) == pytest.approx(expected, abs=0.02)
    context.close()


def test_a_load_tells_how_far_it_is(tiny_model: Path) -> None:
    seen: list[float] = []
    Model(tiny_model, 0, seen.append).close()
    assert seen == sorted(seen) and len(seen) > 2 and seen[-1] == 1


def test_a_log_that_nobody_holds_any_more_is_still_safe_to_call(model: Model) -> None:
    """llama.cpp has a plain pointer to it, and logs when a context is made or freed."""
    Log()
    gc.collect()
    Context(model, ContextOptions(128, 1, 64, 1, 1)).close()
    assert Log._installed is not model.log


def test_what_batching_changes_is_float_noise(model: Model) -> None:
    """Logits of a token alone and in a batch of eight differ by rounding only (docs/engine.md)."""
    context = Context(model, ContextOptions(128, 8, 256, 1, 1))
    tokens = model.tokenize(PROMPTS[0], add_special=True)
    context.batch.clear()
    row = context.batch.add(0, 0, tokens, outputs=1) - 1
    context.decode()
    alone = list(context.logits(row))
    context.clear(0)
    context.batch.clear()
    rows = [context.batch.add(i, 0, tokens, outputs=1) - 1 for i in range(8)]
    context.decode()
    worst = max(abs(a - b) for row in rows for a, b in zip(alone, context.logits(row), strict=True))
    assert worst < 0.05
    context.close()
