"""Contexts through a daemon and a worker: what is too long for them, and types of the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import wire
from runner.client import Client
from runner.errors import RemoteError
from tests.answers import answer
from tests.daemons import Daemon
from tests.kinds_gguf import write_kind
from tests.tiny_gguf import Shape, write_model

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
        # The next turn is cut at the same place, so that what stays is not computed again.
        more = [
            *long,
            wire.Message(role="assistant", content="Yes."),
            wire.Message(role="user", content="So?"),
        ]
        _, next_done = await answer(client, request("truncate", more))
        assert next_done.usage.dropped_messages == dropped
        assert next_done.usage.cached_tokens >= done.usage.prompt_tokens - 2


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


async def test_a_model_that_cannot_shift_says_so_if_it_is_asked_to(served: Daemon, tmp_path: Path) -> None:
    served.add_model(write_kind(tmp_path / "mamba.gguf", "mamba"), "mamba")
    options = wire.Options(temperature=0, max_tokens=2)
    asked = wire.GenerateRequest(model="mamba", prompt="abc", overflow="shift", options=options)
    async with Client(served.address) as client:
        with pytest.raises(RemoteError) as caught:
            await answer(client, asked)
        assert (caught.value.code, caught.value.status) == ("shift_not_supported", 400)
        await answer(client, asked.model_copy(update={"overflow": "truncate"}))


async def test_a_setting_for_all_models_asks_no_model_for_what_it_cannot_do(
    home: Path, tmp_path: Path
) -> None:
    with Daemon(home, {"NYBBLE_OVERFLOW": "shift"}) as daemon:
        daemon.add_model(write_kind(tmp_path / "mamba.gguf", "mamba"), "mamba")
        options = wire.Options(temperature=0, max_tokens=2)
        async with Client(daemon.address) as client:
            request = wire.GenerateRequest(model="mamba", prompt="abc", options=options)
            _, done = await answer(client, request)
    assert done.usage.completion_tokens == 2


async def test_a_cache_of_another_type_is_loaded_and_one_that_cannot_be_is_refused(
    home: Path, tiny_model: Path, tmp_path: Path
) -> None:
    environment = {"NYBBLE_KV_TYPE": "q8_0", "NYBBLE_FLASH_ATTENTION": "auto"}
    odd = write_model(tmp_path / "odd.gguf", Shape(width=48, heads=2, heads_kv=2))
    options = wire.Options(temperature=0, max_tokens=2)
    with Daemon(home, environment) as daemon:
        daemon.add_model(tiny_model, "tiny")
        daemon.add_model(odd, "odd")
        async with Client(daemon.address) as client:
            await answer(client, wire.GenerateRequest(model="tiny", prompt="abc", options=options))
            loaded = (await client.loaded())[0]
            with pytest.raises(RemoteError, match="keys of type q8_0 come in blocks of 32") as caught:
                await answer(client, wire.GenerateRequest(model="odd", prompt="abc", options=options))
    assert (loaded.variant, loaded.flash_attention) == ("KV q8_0", True)
    assert caught.value.status == 422 and "kv_type" in (caught.value.hint or "")
