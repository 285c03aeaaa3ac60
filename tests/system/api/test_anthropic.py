"""Anthropic's official client against a real daemon with real models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import types

from tests.daemons import Daemon
from tests.system.api.test_disconnects import assert_free, busy_slots

LIST = {"role": "user", "content": "List all files"}
# This version of the client has no arguments for sampling any more.
GREEDY = {"temperature": 0}
ASK: dict[str, Any] = {"model": "tiny-chat", "max_tokens": 12, "messages": [LIST], "extra_body": GREEDY}


@pytest.fixture
def client(served: Daemon) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.address, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def http(served: Daemon) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.address, trust_env=False, timeout=60) as client:
        yield client


def text_of(message: types.Message) -> str:
    return "".join(block.text for block in message.content if isinstance(block, types.TextBlock))


def test_a_message_is_the_same_whole_and_in_events(client: anthropic.Anthropic, http: httpx.Client) -> None:
    whole = client.messages.create(**ASK)
    with client.messages.stream(**ASK) as stream:
        kinds = [event.type for event in stream if event.type not in ("text", "ping")]
        streamed = stream.get_final_message()
    assert (whole.role, whole.type, whole.stop_reason, whole.stop_sequence) == (
        "assistant", "message", "max_tokens", None,
    )  # fmt: skip
    assert text_of(whole) and text_of(streamed) == text_of(whole)
    assert (streamed.stop_reason, streamed.model) == ("max_tokens", "tiny-chat")
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    said = {"model": "tiny-chat", "messages": [LIST], "stream": False}
    ollamas = http.post("/api/chat", json=said | {"options": {"temperature": 0, "num_predict": 12}}).json()
    assert ollamas["message"]["content"] == text_of(whole)


def test_the_prompt_is_counted_with_and_without_what_was_cached(
    client: anthropic.Anthropic, http: httpx.Client
) -> None:
    ask = ASK | {"system": "Be brief.", "messages": [{"role": "user", "content": "Name " * 150}]}
    counted = client.messages.count_tokens(
        model="tiny-chat", system=ask["system"], messages=ask["messages"]
    ).input_tokens
    first, second = (client.messages.create(**ask).usage for _ in range(2))
    assert counted == first.input_tokens + (first.cache_read_input_tokens or 0) > 150
    assert second.cache_read_input_tokens and second.cache_read_input_tokens > 100
    assert second.input_tokens + second.cache_read_input_tokens == counted
    assert (second.output_tokens, second.cache_creation_input_tokens) == (12, 0)
    with client.messages.stream(**ask) as stream:
        start = next(event for event in stream if event.type == "message_start")
        assert start.message.usage.input_tokens == counted
        assert stream.get_final_message().usage.cache_read_input_tokens == second.cache_read_input_tokens
    openais = http.post(
        "/v1/chat/completions",
        json={
            "model": "tiny-chat",
            "max_tokens": 1,
            "messages": [{"role": "system", "content": "Be brief."}, *ask["messages"]],
        },
    ).json()["usage"]
    assert openais["prompt_tokens"] == counted
    assert openais["prompt_tokens_details"]["cached_tokens"] == second.cache_read_input_tokens


def test_counting_computes_nothing_and_has_no_limit_of_context(client: anthropic.Anthropic) -> None:
    """The context is 1,024 tokens."""
    long = [{"role": "user", "content": "word " * 3000}]
    assert client.messages.count_tokens(model="tiny-chat", messages=long).input_tokens > 3000
    with pytest.raises(anthropic.BadRequestError, match="1024"):
        client.messages.create(**ASK | {"messages": long})


def test_why_an_answer_ended(client: anthropic.Anthropic) -> None:
    text = text_of(client.messages.create(**ASK))
    stop = text[4:9]
    stopping = ASK | {"stop_sequences": ["never said", stop]}
    with client.messages.stream(**stopping) as stream:
        streamed = stream.get_final_message()
    for message in (client.messages.create(**stopping), streamed):
        assert text_of(message) == text[: text.index(stop)]
        assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", stop)
    form = {"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}}
    ended = client.messages.create(**ASK, output_config=form)
    assert (json.loads(text_of(ended)), ended.stop_reason) == ({}, "end_turn")
    full = client.messages.create(
        **ASK
        | {
            "max_tokens": 5000,
            "messages": [{"role": "user", "content": "word " * 850}],
            "extra_body": GREEDY | {"ignore_eos": True, "overflow": "error"},
        }
    )
    assert full.stop_reason == "model_context_window_exceeded"


def test_a_conversation_longer_than_the_context(client: anthropic.Anthropic) -> None:
    turns = [{"role": role, "content": "word " * 100} for _ in range(9) for role in ("user", "assistant")]
    ask = ASK | {"system": "Be brief.", "messages": [*turns, LIST]}
    short = client.messages.create(**ask | {"extra_body": {"overflow": "truncate"}})
    assert short.usage.model_extra and short.usage.model_extra["dropped_messages"] > 0
    with pytest.raises(anthropic.BadRequestError, match="1024"):
        client.messages.create(**ask | {"extra_body": {"overflow": "error"}})


def test_it_reads_our_errors(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="model 'tina' not found") as missing:
        client.messages.create(**ASK | {"model": "tina"})
    assert missing.value.type == "not_found_error"
    mute = ASK | {"model": "tiny"}
    with pytest.raises(anthropic.BadRequestError, match="has no chat template"):
        client.messages.create(**mute)
    with (
        pytest.raises(anthropic.BadRequestError, match="has no chat template"),
        client.messages.stream(**mute),
    ):
        pass
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="tina", messages=[LIST])


async def test_it_reads_them_asynchronously(served: Daemon) -> None:
    async with (
        anthropic.AsyncAnthropic(base_url=served.address, api_key="none", max_retries=0) as client,
        client.messages.stream(**ASK) as stream,
    ):
        pieces = [piece async for piece in stream.text_stream]
        assert "".join(pieces) == text_of(await stream.get_final_message())


def test_a_client_that_leaves_frees_its_slot(client: anthropic.Anthropic, http: httpx.Client) -> None:
    """Without sampling this model repeats itself here, and never stops."""
    endless = ASK | {"max_tokens": 900, "messages": [{"role": "user", "content": "List"}]}
    with client.messages.stream(**endless) as stream:
        for event in stream:
            if event.type == "text":
                break
        assert busy_slots(http) == 1
    assert_free(http)
    with pytest.raises(anthropic.APITimeoutError):
        client.messages.create(**endless, timeout=0.2)
    assert_free(http)
