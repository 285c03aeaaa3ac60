"""A conversation or an answer longer than the context, through a daemon and a worker."""

from __future__ import annotations

import pytest

from runner import wire
from runner.client import Client
from runner.errors import RemoteError
from tests.answers import answer
from tests.daemons import Daemon

CONTEXT_LENGTH = 1024
TURN = "The list command writes the names of files, one a line, sorted by name. " * 12


def turns(count: int) -> list[wire.Message]:
    """A system message, and so many questions with answers, the last without."""
    said = [
        wire.Message(role="user" if i % 2 == 0 else "assistant", content=TURN) for i in range(2 * count - 1)
    ]
    return [wire.Message(role="system", content="Be brief."), *said]


def request(
    overflow: wire.Overflow | None, messages: list[wire.Message], max_tokens: int = 8
) -> wire.GenerateRequest:
    options = wire.Options(temperature=0, max_tokens=max_tokens, ignore_eos=True)
    return wire.GenerateRequest(model="tiny-chat", messages=messages, overflow=overflow, options=options)


async def test_the_default_refuses_with_both_numbers(served: Daemon) -> None:
    async with Client(served.address) as client:
        with pytest.raises(RemoteError) as caught:
            await answer(client, request(None, turns(6)))
    assert (caught.value.code, caught.value.status) == ("context_length_exceeded", 400)
    assert f"the context {CONTEXT_LENGTH}" in caught.value.message


async def test_truncate_says_what_it_left_out_and_asks_as_if_that_had_never_been_said(served: Daemon) -> None:
    long = turns(6)
    async with Client(served.address) as client:
        text, done = await answer(client, request("truncate", long))
        dropped = done.usage.dropped_messages
        assert dropped and dropped % 2 == 0
        assert done.usage.prompt_tokens + 8 <= CONTEXT_LENGTH
        again, short = await answer(client, request("error", [long[0], *long[1 + dropped :]]))
        assert (again, short.usage.dropped_messages) == (text, 0)
        assert short.usage.prompt_tokens == done.usage.prompt_tokens
        # One turn more would have been too long.
        with pytest.raises(RemoteError, match="the prompt has"):
            await answer(client, request("error", [long[0], *long[dropped - 1 :]]))


async def test_a_last_question_that_is_too_long_alone_is_refused_all_the_same(served: Daemon) -> None:
    messages = [*turns(2), wire.Message(role="user", content=TURN * 6)]
    async with Client(served.address) as client:
        with pytest.raises(RemoteError) as caught:
            await answer(client, request("truncate", messages))
    assert caught.value.code == "context_length_exceeded"


async def test_shift_forgets_while_it_generates_and_counts_it(served: Daemon) -> None:
    async with Client(served.address) as client:
        _, done = await answer(client, request("shift", turns(6), max_tokens=CONTEXT_LENGTH))
    usage = done.usage
    assert usage.completion_tokens == CONTEXT_LENGTH and usage.dropped_messages
    assert usage.prompt_tokens + usage.completion_tokens - usage.shifted_tokens <= CONTEXT_LENGTH
