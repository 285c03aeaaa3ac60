"""Every kind of model through the whole engine: reused or batched, it says what it says alone and fresh."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from native.llama import Context, ContextOptions, Model
from runner.protocol import Generate, Sampling
from runner.worker.engine import Engine
from runner.worker.prefix.caches import PrefixLimits
from tests.fast.engine.driving import GREEDY, answer, answers, run
from tests.kinds_gguf import KINDS, WINDOW, write_kind

RAM = PrefixLimits(ram_bytes=64 << 20)
NOTHING = PrefixLimits()
# Keys and values as they were computed: rounding them would let the shape of a batch decide between tokens.
EXACT = ContextOptions(1024, 1, 256, 1, 1, kv_type_k="f32", kv_type_v="f32", flash_attention=False)
# Characters, one token each: enough for a checkpoint, and much more than the window.
LONG = 300


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = write_kind(tmp_path_factory.mktemp("kinds") / f"{request.param}.gguf", request.param)
    model = Model(path, 0)
    yield model
    model.close()


@contextmanager
def engine(model: Model, slots: int = 1, limits: PrefixLimits = RAM, **options: bool) -> Iterator[Engine]:
    context = Context(model, replace(EXACT, sequences=slots, **options))  # type: ignore[arg-type]
    running = Engine(context, 0.0, limits)
    yield running
    running.close()
    context.close()


def text(seed: int, characters: int) -> str:
    source = random.Random(seed)
    return "".join(source.choice("abcdefghijklmnopqrstuvwxyz.,") for _ in range(characters))


@cache
def fresh(model: Model, prompt: str) -> str:
    with engine(model, limits=NOTHING) as alone:
        return answer(alone, prompt).text


def test_a_text_depends_on_its_beginning(model: Model) -> None:
    """Without this, the other tests could not see a lost state."""
    end = text(1, 8)
    assert len({fresh(model, text(seed, 40) + end) for seed in range(2, 6)}) == 4


def test_together_they_say_what_each_says_alone(model: Model) -> None:
    prompts = [text(seed, length) for seed, length in enumerate([5, 300, 40, 5, 17, 90])]
    with engine(model, slots=4) as together:
        assert [each.text for each in answers(together, prompts)] == [fresh(model, p) for p in prompts]


def test_a_second_turn_computes_only_what_is_new(model: Model) -> None:
    prompt = text(1, LONG)
    with engine(model) as chat:
        first = answer(chat, prompt)
        turn = prompt + first.text + text(2, 30)
        second = answer(chat, turn)
    assert first.cached == 0
    # The last picked token was never decoded.
    assert second.cached >= first.end.prompt_tokens + first.end.completion_tokens - 1
    assert second.text == fresh(model, turn)


def test_an_answer_can_be_given_again_from_where_its_prompt_ended(model: Model) -> None:
    prompt = text(1, LONG)
    with engine(model) as chat:
        first = answer(chat, prompt)
        again = answer(chat, prompt)
        other = answer(chat, prompt + text(3, 9))
    assert again.text == first.text == fresh(model, prompt)
    assert again.cached == first.end.prompt_tokens - 1
    assert other.text == fresh(model, prompt + text(3, 9))
    assert other.cached >= first.end.prompt_tokens - 1


def test_what_was_pushed_out_comes_back_from_memory(model: Model) -> None:
    prompt = text(1, LONG)
    with engine(model) as chat:
        first = answer(chat, prompt)
        answer(chat, text(5, LONG))
        answer(chat, text(6, LONG))
        turn = prompt + first.text + text(2, 30)
        back = answer(chat, turn)
        again = answer(chat, prompt)
    assert back.cached >= first.end.prompt_tokens + first.end.completion_tokens - 1
    assert back.text == fresh(model, turn)
    assert again.text == first.text
    assert again.cached == first.end.prompt_tokens - 1


def test_what_was_unloaded_comes_back_from_disk(model: Model, tmp_path: Path) -> None:
    limits = PrefixLimits(64 << 20, str(tmp_path / "prefixes"), 64 << 20)
    prompt = text(1, LONG)
    with engine(model, limits=limits) as chat:
        first = answer(chat, prompt)
        answer(chat, text(5, LONG))
    turn = prompt + first.text + text(2, 30)
    with engine(model, limits=limits) as chat:
        back = answer(chat, turn)
        other = answer(chat, text(5, LONG) + "!")
    assert back.cached >= first.end.prompt_tokens + first.end.completion_tokens - 1
    assert back.text == fresh(model, turn)
    assert other.cached >= LONG


def test_what_was_read_without_flash_attention_serves_those_with_it(model: Model, tmp_path: Path) -> None:
    """And the other way round: at the second load it may have been measured that the other one is faster."""
    limits = PrefixLimits(64 << 20, str(tmp_path / "prefixes"), 64 << 20)
    prompts = [text(seed, LONG) for seed in (1, 5)]
    for prompt, is_flash in zip(prompts, (False, True), strict=True):
        with engine(model, limits=limits, flash_attention=is_flash) as chat:
            answer(chat, prompt)
    for prompt, is_flash in zip(prompts, (True, False), strict=True):
        with engine(model, limits=limits, flash_attention=is_flash) as chat:
            cached = [answer(chat, each + "!").cached for each in prompts]
            back = answer(chat, prompt + "!")
        if model.is_recurrent:
            assert sum(each >= LONG for each in cached) == 1, "the other's state cannot be read"
        else:
            # Rounded otherwise, it may go another way later.
            assert min(cached) >= LONG and back.text[:8] == fresh(model, prompt + "!")[:8]


def test_several_answers_to_one_prompt_compute_it_once(model: Model) -> None:
    prompt = text(1, LONG)
    with engine(model, slots=4) as chat:
        given = answers(chat, [prompt] * 3 + [text(9, 30)])
    assert {each.text for each in given[:3]} == {fresh(model, prompt)}
    assert given[3].text == fresh(model, text(9, 30))
    reused = given[0].end.prompt_tokens - 1
    assert sorted(each.cached for each in given[:3]) == [0, reused, reused]


def test_a_chat_beside_another_with_the_same_beginning_leaves_it_where_it_is(model: Model) -> None:
    beginning = text(1, LONG)
    with engine(model, slots=2) as chats:
        a = answer(chats, beginning + text(2, 200))
        b = answer(chats, beginning + text(3, 200))
        slots = [list(slot.cached) for slot in chats._slots]
        again = answer(chats, beginning + text(2, 200) + a.text)
    assert len(slots[0]) > LONG + 200 and len(slots[1]) > LONG + 200
    assert again.cached >= LONG + 200
    assert b.text == fresh(model, beginning + text(3, 200))


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_a_cancelled_request_leaves_a_state_that_can_be_continued(model: Model, steps: int) -> None:
    prompt = text(1, LONG)
    with engine(model, slots=2) as chat:
        chat.submit(Generate("cancelled", (prompt,), GREEDY))
        for _ in range(steps):
            chat.step()
        computed = len(chat._slots[0].cached)
        chat.cancel("cancelled")
        chat.submit(Generate("beside", (text(7, 20),), GREEDY))
        chat.submit(Generate("again", (prompt,), GREEDY))
        ended = run(chat)
    assert ended["beside"].text == fresh(model, text(7, 20))
    assert ended["again"].text == fresh(model, prompt)
    assert ended["again"].cached == min(computed, ended["again"].end.prompt_tokens - 1)


def test_without_room_for_checkpoints_attention_and_windows_still_go_back_a_little(model: Model) -> None:
    prompt = text(1, LONG)
    with engine(model, limits=NOTHING) as chat:
        first = answer(chat, prompt)
        again = answer(chat, prompt)
    assert again.text == first.text == fresh(model, prompt)
    assert again.cached == (0 if model.is_recurrent else first.end.prompt_tokens - 1)


@pytest.mark.parametrize("limits", [NOTHING, RAM])
def test_a_long_answer_leaves_the_window_behind_and_a_checkpoint_brings_it_back(
    tmp_path: Path, limits: PrefixLimits
) -> None:
    model = Model(write_kind(tmp_path / "window.gguf", "window"), 0)
    prompt = text(1, 300)
    with engine(model, limits=limits) as chat:
        # The cache of the window's layers has 512 cells, and the prompt about 320 tokens.
        first = answer(chat, prompt, Sampling(temperature=0, max_tokens=550, ignore_eos=True))
        again = answer(chat, prompt)
    assert model.sliding_window == WINDOW
    assert again.text == first.text[: len(again.text)]
    assert again.cached == (first.end.prompt_tokens - 1 if limits is RAM else 0)
    model.close()
