"""Prompts that are read with flash attention for a context without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from native import state
from native.llama import Context, ContextOptions, Model
from native.reading import ReadingContext, can_read
from native.turning import turned
from runner.protocol import Generate, Sampling
from runner.worker.engine import Engine
from tests.fast.engine.driving import GREEDY, answer, answers, run
from tests.kinds_gguf import write_kind

OPTIONS = ContextOptions(512, 4, 96, 1, 1, flash_attention=False)
LEAST_TOKENS = 100
LONG = "word by word, a list of commands is read and each is run in its turn. " * 12


@pytest.fixture
def reading(model: Model) -> Iterator[ReadingContext]:
    context = ReadingContext(model, OPTIONS, LEAST_TOKENS)
    yield context
    context.close()


def plain_answers(model: Model, prompts: list[str]) -> list[str]:
    context = Context(model, OPTIONS)
    texts = [each.text for each in answers(Engine(context, 0.0), prompts)]
    context.close()
    return texts


def is_away(context: ReadingContext) -> bool:
    return context._reader is not None


def filled(model: Model, text: str, **options: object) -> tuple[Context, int]:
    """A context whose last sequence has read `text`, and how many tokens that are."""
    context = Context(model, replace(OPTIONS, batch_tokens=512, **options))  # type: ignore[arg-type]
    tokens = model.tokenize(text, add_special=True)
    context.batch.add(context.options.sequences - 1, 0, tokens, outputs=1)
    assert context.decode()
    return context, len(tokens)


@pytest.mark.parametrize("kv_type", ["f16", "bf16", "f32"])
def test_a_state_turned_twice_is_what_it_was(model: Model, kv_type: str) -> None:
    both = {"kv_type_k": kv_type, "kv_type_v": kv_type}
    plain, count = filled(model, LONG, **both)
    flash, _ = filled(model, LONG, flash_attention=True, sequences=1, **both)
    original = state.save(flash, 0)
    columns = turned(original, OPTIONS.sequences)
    assert state.restore(plain, 0, columns) and plain.positions(0) == (0, count - 1)
    assert turned(columns, 1) == original
    assert turned(state.save(plain, 0), 1) == original


def test_what_is_no_such_state_is_refused(model: Model, tmp_path: Path) -> None:
    whole = state.save(filled(model, "a state")[0], 3)
    for broken in (bytearray(), whole[:-1], whole + b"\0", whole[:100], bytearray(len(whole))):
        with pytest.raises(ValueError, match="state"):
            turned(broken, 1)
    window = Model(write_kind(tmp_path / "window.gguf", "window"), 0)
    with pytest.raises(ValueError, match="state"):
        turned(state.save(filled(window, "a state")[0], 3), 1)
    assert not can_read(window, OPTIONS) and can_read(model, OPTIONS)
    window.close()


def test_a_long_prompt_is_read_apart_and_says_the_same(model: Model, reading: ReadingContext) -> None:
    engine = Engine(reading, 0.0)
    for prompt in (LONG, "A short one", LONG.upper()):
        engine.submit(Generate("one", (prompt,), GREEDY))
        texts: list[str] = []
        while not any(sequence.completion_length for _, sequence in engine._busy()):
            texts += [delta.text for delta in engine.step().deltas]
        assert is_away(reading) is (prompt != "A short one"), "the first token does not wait for the state"
        while not engine.is_idle:
            texts += [delta.text for delta in engine.step().deltas]
            assert not is_away(reading)
        assert ["".join(texts)] == plain_answers(model, [prompt])


def test_the_end_of_a_very_long_prompt_is_read_where_it_belongs(model: Model) -> None:
    context, count = filled(model, LONG)
    token_bytes = state.size(context, 3) // count
    reading = ReadingContext(model, OPTIONS, LEAST_TOKENS, most_bytes=200 * token_bytes)
    engine, held = Engine(reading, 0.0), []
    engine.submit(Generate("one", (LONG + LONG,), GREEDY))
    while not engine.is_idle:
        engine.step()
        held.append(is_away(reading))
    # What it is, twice 96 tokens, and those that would end beyond 200.
    assert held[:4] == [False, True, True, False]
    assert reading.unlisted_bytes == pytest.approx(2 * 200 * token_bytes, rel=0.02)
    reading.close()


def test_who_comes_meanwhile_is_served_beside_the_rest_of_it(model: Model, reading: ReadingContext) -> None:
    engine, prompts = Engine(reading, 0.0), [LONG, "Meanwhile", LONG + "It ends."]
    engine.submit(Generate("0", (LONG,), GREEDY))
    while not is_away(reading):
        engine.step()
    for number in (1, 2):
        engine.submit(Generate(str(number), (prompts[number],), GREEDY))
    first = {delta.request_id: delta.text for delta in engine.step().deltas}
    assert not is_away(reading), "small chunks are not faster there"
    ended = run(engine)
    texts = [first.get(name, "") + ended[name].text for name in ("0", "1", "2")]
    assert texts == plain_answers(model, prompts)


def test_small_chunks_beside_a_stream_are_read_where_they_belong(
    model: Model, reading: ReadingContext
) -> None:
    engine = Engine(reading, 1e-6)
    engine.submit(Generate("stream", ("A story",), Sampling(temperature=0, max_tokens=60, ignore_eos=True)))
    engine.step()
    engine.submit(Generate("long", (LONG,), GREEDY))
    texts = ""
    while not engine.is_idle:
        texts += "".join(delta.text for delta in engine.step().deltas if delta.request_id == "long")
        assert not is_away(reading)
    assert [texts] == plain_answers(model, [LONG])


def test_what_was_read_until_the_request_was_cancelled_stays(model: Model, reading: ReadingContext) -> None:
    engine = Engine(reading, 0.0)
    engine.submit(Generate("one", (LONG,), GREEDY))
    while len(engine._slots[0].cached) < 128:
        engine.step()
    assert is_away(reading)
    engine.cancel("one")
    run(engine)
    engine.use_idle_time()
    assert not is_away(reading), "nobody pays for the memory of two"
    other = LONG[: len(LONG) // 2] + "and now for something else. " * 12
    again = answer(engine, other)
    assert again.cached >= 100 and [again.text] == plain_answers(model, [other])


def test_what_cannot_be_turned_is_read_where_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    window = Model(write_kind(tmp_path / "window.gguf", "window"), 0)
    reading = ReadingContext(window, OPTIONS, LEAST_TOKENS)
    assert [answer(Engine(reading, 0.0), LONG[:300]).text] == plain_answers(window, [LONG[:300]])
    assert capfd.readouterr().err.count("long prompts are read without flash attention: ") == 1
    window.close()
