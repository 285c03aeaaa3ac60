"""What leaves a conversation that is too long: pure choices."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import wire
from runner.command import shortened
from runner.errors import PromptTooLong
from runner.overflow import Part, kept_characters, oldest_turns, room_for_answer
from runner.protocol import Generate, Sampling

SYSTEM, USER, ASSISTANT, TOOL = (Part(role, 100) for role in ("system", "user", "assistant", "tool"))
CHAT = [SYSTEM, USER, ASSISTANT, USER, ASSISTANT, TOOL, ASSISTANT, USER]


@pytest.mark.parametrize(
    ("most_tokens", "gone"),
    [
        (799, {1, 2}),
        (700, {1, 2}),
        (610, {1, 2, 3, 4, 5, 6}),
        (1, {1, 2, 3, 4, 5, 6}),
    ],
)
def test_whole_turns_go_oldest_first_and_a_quarter_at_a_time(most_tokens: int, gone: set[int]) -> None:
    assert oldest_turns(CHAT, 800, most_tokens) == gone


def test_a_growing_conversation_is_cut_at_one_place_for_several_turns() -> None:
    parts, cuts = [SYSTEM], []
    for _ in range(200):
        parts += [USER, ASSISTANT]
        tokens = 25 * len(parts)
        gone = oldest_turns([*parts, USER], tokens, 2000) if tokens > 2000 else frozenset()
        assert tokens - 25 * len(gone) <= 2000 + 25
        cuts.append(len(gone))
    turns_that_moved_it = sum(1 for before, after in pairwise(cuts) if before != after)
    assert turns_that_moved_it <= len(cuts) // 8


def test_the_last_turn_stays_with_all_that_followed_it() -> None:
    assert oldest_turns([SYSTEM, USER, ASSISTANT, TOOL], 1000, 10) == frozenset()


def test_a_greeting_before_the_first_question_goes_with_it() -> None:
    assert oldest_turns([ASSISTANT, USER, ASSISTANT, USER], 400, 399) == {0, 1, 2}


def test_system_messages_stay_wherever_they_are() -> None:
    assert oldest_turns([USER, SYSTEM, ASSISTANT, SYSTEM, USER], 500, 10) == {0, 2}


def test_without_any_question_the_last_message_stays() -> None:
    assert oldest_turns([ASSISTANT, ASSISTANT, ASSISTANT], 300, 10) == {0, 1}


PARTS = st.lists(
    st.builds(Part, st.sampled_from(["system", "user", "assistant", "tool"]), st.integers(0, 5000)),
    max_size=12,
)


@given(PARTS, st.integers(1, 100_000), st.integers(-10, 100_000))
def test_asking_again_ends_with_the_system_and_the_last_turn(
    parts: list[Part], tokens: int, most: int
) -> None:
    rounds = 0
    while gone := oldest_turns(parts, tokens, most):
        assert all(parts[index].role != "system" for index in gone)
        last_question = max((i for i, part in enumerate(parts) if part.role == "user"), default=None)
        assert last_question is None or max(gone) < last_question
        parts = [part for index, part in enumerate(parts) if index not in gone]
        rounds += 1
    assert rounds <= 12


def test_an_answer_gets_a_quarter_of_the_context_or_what_it_may_have() -> None:
    assert [room_for_answer(8192, None), room_for_answer(8192, 100), room_for_answer(2, 0)] == [2048, 100, 1]


def test_a_shift_keeps_what_comes_before_the_first_turns_words() -> None:
    prompt = "<s>system\nBe brief.</s><s>user\nHello</s><s>assistant\nHi</s><s>user\nHello</s>"
    kept = kept_characters(prompt, [" Be brief. "], ["Hello", "Hi", "Hello"])
    assert prompt[:kept] == "<s>system\nBe brief.</s><s>user\n"
    assert kept_characters(prompt, [], ["not in it"]) == 0
    assert kept_characters("raw text", [], []) == 0


def test_a_hundred_thousand_messages_are_cut_while_nobody_notices() -> None:
    started = time.thread_time()
    assert len(oldest_turns([USER] * 100_000, 100_000, 400)) > 99_000
    assert time.thread_time() - started < 2


def test_empty_messages_leave_many_at_a_time() -> None:
    request = wire.GenerateRequest(
        model="m", messages=[wire.Message(role="user", content="")] * 1000, overflow="truncate"
    )
    asked = Generate("1", ("",), Sampling())
    left = shortened(request, asked, PromptTooLong("", prompt_tokens=5000, context_length=1001))
    assert len(left.messages or ()) <= 200


@pytest.mark.parametrize(("overflow", "hint"), [("error", "as the worker"), ("truncate", "shorten the last")])
def test_leaving_out_turns_is_not_the_advice_when_none_can_go(overflow: wire.Overflow, hint: str) -> None:
    only = [wire.Message(role="system", content="Be brief."), wire.Message(role="user", content="long")]
    request = wire.GenerateRequest(model="m", messages=only, overflow=overflow)
    refused = PromptTooLong("too long", prompt_tokens=5000, context_length=1000, hint="as the worker said")
    with pytest.raises(PromptTooLong, match="too long") as error:
        shortened(request, Generate("1", ("",), Sampling()), refused)
    assert error.value.hint is not None and hint in error.value.hint
    assert (error.value.prompt_tokens, error.value.context_length) == (5000, 1000)
