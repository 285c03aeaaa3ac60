"""Long prompts read apart by an engine: the same texts, and the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from native.llama import Context, ContextOptions, Model
from runner.protocol import Generate, Sampling, Stepped
from runner.worker import apart
from runner.worker.apart import Apart
from runner.worker.engine import Engine
from runner.worker.prefix.caches import PrefixLimits
from tests.fast.engine.driving import GREEDY, answer, answers, run
from tests.kinds_gguf import write_kind

OPTIONS = ContextOptions(512, 4, 96, 1, 1, flash_attention=False)
LONG = "word by word, a list of commands is read and each is run in its turn. " * 12
STREAM = Sampling(temperature=0, max_tokens=60, ignore_eos=True)


def reader(model: Model, step_s: float = 1e-6, most_tokens: int = 512, **options: bool) -> Engine:
    context = Context(model, replace(OPTIONS, **options))  # type: ignore[arg-type]
    return Engine(context, step_s, PrefixLimits(1 << 26), apart=Apart(context, most_tokens, 100))


@pytest.fixture
def engine(model: Model) -> Iterator[Engine]:
    engine = reader(model)
    yield engine
    engine._context.close()


def plain_answers(model: Model, prompts: list[str], sampling: Sampling = GREEDY) -> list[str]:
    context = Context(model, OPTIONS)
    texts = [answer(Engine(context, 0.0), prompt, sampling).text for prompt in prompts]
    context.close()
    return texts


def apart_now(engine: Engine) -> list[int]:
    return [slot.index for slot in engine._slots if slot.is_apart]


def steps(engine: Engine, until_apart: bool = True) -> list[Stepped]:
    """Steps until somebody is apart, or nobody."""
    found = [engine.step()]
    while bool(apart_now(engine)) is not until_apart:
        assert not engine.is_idle
        found.append(engine.step())
    return found


def batch_under_way(engine: Engine) -> int | None:
    """From which token of the prompt on; None if nothing is being decoded apart."""
    computed = [slot.sequence.computed for slot in engine._slots if slot.is_apart and slot.sequence]
    return computed[0] if computed and engine._apart.is_computing else None


def begin_stream(engine: Engine) -> str:
    engine.submit(Generate("stream", ("A story",), STREAM))
    return text_in([engine.step()], "stream")


def text_in(found: list[Stepped], request_id: str) -> str:
    return "".join(delta.text for step in found for delta in step.deltas if delta.request_id == request_id)


@pytest.mark.parametrize("kind", ["dense", "experts", "window"])
@pytest.mark.parametrize("flash", [True, False])
def test_all_say_what_they_say_alone(kind: str, tmp_path: Path, *, flash: bool) -> None:
    model = Model(write_kind(tmp_path / "kind.gguf", kind), 0)
    engine = reader(model, flash_attention=flash)
    begun = begin_stream(engine)
    prompts = [LONG[:250], "Meanwhile", LONG[:250] + "It ends."]
    for number, prompt in enumerate(prompts):
        engine.submit(Generate(str(number), (prompt,), GREEDY))
    found = steps(engine)
    ended = run(engine)
    assert not apart_now(engine)
    texts = [text_in(found, str(n)) + ended[str(n)].text for n in range(3)]
    assert texts == plain_answers(model, prompts)
    begun += text_in(found, "stream")
    assert [begun + ended["stream"].text] == plain_answers(model, ["A story"], STREAM)
    model.close()


def test_also_alone_it_is_read_apart(model: Model, engine: Engine) -> None:
    for prompt in (LONG, "A short one", LONG.upper()):
        engine.submit(Generate("one", (prompt,), GREEDY))
        texts: list[str] = []
        while not any(sequence.completion_length for _, sequence in engine._busy()):
            texts += [delta.text for delta in engine.step().deltas]
        assert bool(apart_now(engine)) is (prompt != "A short one"), "the first token waits for no state"
        while not engine.is_idle:
            texts += [delta.text for delta in engine.step().deltas]
            assert not apart_now(engine)
        assert ["".join(texts)] == plain_answers(model, [prompt])


def test_a_stream_goes_on_in_the_middle_of_a_batch(engine: Engine) -> None:
    """However fast the machine is: some batch of some prompt is interrupted."""
    has_gone_on = False
    for number in range(50):
        begin_stream(engine)
        engine.submit(Generate("long", (f"{number} {LONG}",), GREEDY))
        while not engine.is_idle:
            before = batch_under_way(engine)
            is_streamed = bool(text_in([engine.step()], "stream"))
            has_gone_on |= is_streamed and before is not None and before == batch_under_way(engine)
        if has_gone_on:
            break
    assert has_gone_on


def test_a_short_prompt_that_comes_meanwhile_does_not_wait(model: Model) -> None:
    engine = reader(model, flash_attention=True)
    is_first = False
    for number in range(50):
        engine.submit(Generate("long", (f"{number} {LONG}",), GREEDY))
        steps(engine)
        engine.submit(Generate("short", ("A story",), GREEDY))
        while not (said := text_in([engine.step()], "short")) and batch_under_way(engine) is not None:
            pass
        is_first |= bool(said) and batch_under_way(engine) is not None
        run(engine)
        if is_first:
            break
    assert is_first


def test_without_a_limit_a_stream_has_a_step_for_each_batch(model: Model) -> None:
    engine = reader(model, 0.0)
    begin_stream(engine)
    engine.submit(Generate("long", (LONG,), GREEDY))
    found = steps(engine) + steps(engine, until_apart=False)
    batches = -(-len(model.tokenize(LONG, add_special=True)) // OPTIONS.batch_tokens)
    streamed = sum(bool(text_in([each], "stream")) for each in found)
    assert batches <= streamed <= batches + 2


def test_its_progress_is_said_from_the_beginning(engine: Engine) -> None:
    begin_stream(engine)
    engine.submit(Generate("long", (LONG,), GREEDY))
    said = [
        delta.prompt_tokens_done
        for step in steps(engine) + steps(engine, until_apart=False)
        for delta in step.deltas
        if delta.prompt_tokens_total
    ]
    assert said[0] == 0 and said == sorted(set(said)) and len(said) > 2


def test_what_is_beyond_the_limit_is_read_at_home(model: Model) -> None:
    engine = reader(model, 0.0, 200)
    engine.submit(Generate("one", (LONG + LONG,), GREEDY))
    steps(engine)
    steps(engine, until_apart=False)
    assert 200 <= len(engine._slots[0].cached) < 300
    assert [run(engine)["one"].text] == plain_answers(model, [LONG + LONG])


def test_long_prompts_take_turns(model: Model, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_TURN_TOKENS", 96)
    prompts = [LONG, LONG.upper()]
    for number, prompt in enumerate(prompts):
        engine.submit(Generate(str(number), (prompt,), GREEDY))
    turns: list[int] = []
    texts = dict.fromkeys(("0", "1"), "")
    while not engine.is_idle:
        for delta in engine.step().deltas:
            texts[delta.request_id] += delta.text
        if (now := apart_now(engine)) and now != turns[-1:]:
            turns += now
    assert turns[:3] == [0, 1, 0]
    assert list(texts.values()) == plain_answers(model, prompts)


def test_what_was_read_until_the_request_was_cancelled_stays(model: Model, engine: Engine) -> None:
    engine.submit(Generate("one", (LONG,), GREEDY))
    steps(engine)
    while engine._slots[0].sequence and engine._slots[0].sequence.computed < 96:
        engine.step()
    engine.cancel("one")
    run(engine)
    engine.use_idle_time()
    assert not apart_now(engine), "nobody pays for the memory of two"
    again = answer(engine, LONG[: len(LONG) // 2] + "and now for something else. " * 12)
    assert again.cached >= 96 - 1
    assert [again.text] == plain_answers(
        model, [LONG[: len(LONG) // 2] + "and now for something else. " * 12]
    )


def test_who_is_cancelled_in_the_first_batch_leaves_nothing(model: Model, engine: Engine) -> None:
    for number in range(3):
        engine.submit(Generate("one", (f"{number} {LONG}",), GREEDY))
        steps(engine)
        engine.cancel("one")
        run(engine)
        assert not apart_now(engine) and not engine._slots[0].cached
    assert answer(engine, LONG).text == plain_answers(model, [LONG])[0]


def test_the_same_prompt_waits_for_it_and_is_copied(model: Model, engine: Engine) -> None:
    first, second = answers(engine, [LONG, LONG])
    assert second.cached > 0.9 * second.end.prompt_tokens
    assert [first.text, second.text] == plain_answers(model, [LONG, LONG])


def test_a_window_has_a_checkpoint_of_what_was_read_apart(tmp_path: Path) -> None:
    model = Model(write_kind(tmp_path / "window.gguf", "window"), 0)
    engine = reader(model, flash_attention=True)
    begin_stream(engine)
    prompt = LONG[:250]
    # So long an answer that the window has let go of the prompt.
    engine.submit(Generate("long", (prompt,), Sampling(temperature=0, max_tokens=100, ignore_eos=True)))
    steps(engine)
    run(engine)
    (checkpoint,) = engine._slots[1].checkpoints
    again = answer(engine, prompt + "It ends.")
    assert again.cached == checkpoint.length == len(model.tokenize(prompt, add_special=True)) - 1
    assert [again.text] == plain_answers(model, [prompt + "It ends."])
    model.close()


def test_what_cannot_come_home_is_read_again(model: Model, capfd: pytest.CaptureFixture[str]) -> None:
    # One cache for all: its states have one stream, whoever they are for.
    engine = reader(model, kv_unified=True)
    texts = [answer(engine, prompt).text for prompt in (LONG, LONG.upper())]
    assert texts == plain_answers(model, [LONG, LONG.upper()])
    assert "n_stream mismatch" in capfd.readouterr().err


def test_closing_brings_home_what_was_read(model: Model) -> None:
    engine = reader(model)
    engine.submit(Generate("one", (LONG,), GREEDY))
    steps(engine)
    while engine._slots[0].sequence and engine._slots[0].sequence.computed < 96:
        engine.step()
    engine.close()
    assert engine._context.positions(0)[1] >= 95 and not apart_now(engine)
