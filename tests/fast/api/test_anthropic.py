"""Anthropic's dialect: what reaches the core, how answers begin, end and fail."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from modelstore.errors import NotFound
from runner import wire
from runner.errors import InvalidConstraint, Overloaded, WorkerFailed
from tests.fast.api.scripted import DONE, HELLO, ScriptedService, serving

PATH = "/v1/messages"
COUNT = f"{PATH}/count_tokens"
HI = {"role": "user", "content": "Hi"}
ASK: dict[str, Any] = {"model": "tiny", "max_tokens": 9, "messages": [HI]}
SCHEMA = {"type": "object"}


class Counting(ScriptedService):
    async def count_tokens(self, request: wire.GenerateRequest) -> int:
        self.requests.append(request)
        return 42


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """Pings left out; each event is named after the type of its data."""
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *blocks, rest = response.text.split("\n\n")
    assert rest == ""
    found = []
    for block in blocks:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return [each for each in found if each["type"] != "ping"]


async def test_what_reaches_the_core() -> None:
    texts = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b"},
    ]
    thought = {"type": "thinking", "thinking": "Hm", "signature": "x"}
    body = ASK | {
        "system": texts,
        "messages": [
            HI,
            {"role": "user", "content": texts},
            {"role": "assistant", "content": [thought, {"type": "text", "text": "Yes?"}]},
            HI,
        ],
        "temperature": 0.5, "top_p": 0.6, "top_k": 3, "stop_sequences": ["x", "y"], "min_p": 0.1, "seed": 4,
        "metadata": {"user_id": "me"}, "service_tier": "auto", "tools": [], "tool_choice": {"type": "none"},
        "thinking": {"type": "disabled"}, "overflow": "error", "draft": "small",
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    }  # fmt: skip
    service = Counting()
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "some", "x-api-key": "none"}
    beta = {"output_config": None, "output_format": body["output_config"]["format"], "seed": 2**32 + 4}
    async with serving(service) as client:
        for path, more in ((PATH, {}), (f"{PATH}?beta=true", beta), (COUNT, {})):
            assert (await client.post(path, json=body | more, headers=headers)).status_code == 200
        plain = await client.post(PATH, json=ASK)
    first, again, counted, least = service.requests
    assert (
        first
        == again
        == wire.GenerateRequest(
            model="tiny",
            messages=counted.messages,
            options=wire.Options(
                temperature=0.5, top_p=0.6, top_k=3, stop=["x", "y"], min_p=0.1, seed=4, max_tokens=9
            ),
            constraint=wire.Constraint(kind="json_schema", source='{"type":"object"}'),
            overflow="error",
            draft="small",
        )
    )
    assert [(message["role"], message["content"]) for message in counted.messages] == [
        ("system", "a\nb"), ("user", "Hi\na\nb"), ("assistant", "Yes?"), ("user", "Hi"),
    ]  # fmt: skip
    assert least.options == wire.Options(max_tokens=9)
    assert plain.json()["content"] == [{"type": "text", "text": "Hello"}]


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return ASK | {"messages": [HI, {"role": role, "content": list(blocks)}]}


BAD: list[tuple[dict[str, Any], str]] = [
    (ASK | {"messages": []}, "messages: at least one"),
    (ASK | {"messages": [HI] * (2**14 + 1)}, "messages: List should have at most 16384"),
    (ASK | {"messages": [HI | {"role": "tool"}]}, "messages[0].role: "),
    (ASK | {"messages": [HI, HI | {"role": "assistant"}]}, "messages[1].role: an answer that has begun"),
    (ASK | {"messages": [{"role": "user"}]}, "messages[0].content: "),
    (ASK | {"messages": [HI | {"content": 5}]}, "messages[0].content: "),
    (ASK | {"messages": [HI | {"content": ["Hi"]}]}, "messages[0].content[0]: "),
    (said({"type": "text"}), "messages[1].content[0].text: "),
    (said({"type": "text", "text": "a"}, {"type": "image"}), "images. Leave out `messages[1].content[1]`"),
    (said({"type": "document"}), '"tiny" does not support documents'),
    (said({"type": "tool_use", "id": "a"}, role="assistant"), "tools. Leave out `messages[1].content[0]`"),
    (said({"type": "tool_result", "tool_use_id": "a"}), "tools. Leave out `messages[1].content[0]`"),
    (said({"type": "search_result"}), "content of type 'search_result'"),
    (ASK | {"system": [{"type": "image"}]}, "images. Leave out `system[0]`"),
    (
        ASK | {"tools": [{"name": "a", "input_schema": {}}]},
        '"tiny" does not support tools. Leave out `tools`',
    ),
    (ASK | {"tool_choice": {"type": "any"}}, "tools. Leave out `tool_choice`"),
    (ASK | {"tool_choice": {"type": "tool", "name": "a"}}, "tools. Leave out `tool_choice`"),
    (ASK | {"tool_choice": {"type": "some"}}, "tool_choice.type: "),
    (ASK | {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking. Leave out `thinking`"),
    (ASK | {"output_config": {"effort": "low"}}, "Leave out `output_config.effort`"),
    (ASK | {"output_config": {"format": {"type": "json"}}}, "output_config.format.type: "),
    (ASK | {"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: "),
    (ASK | {"mcp_servers": [{}]}, "Leave out `mcp_servers`"),
    ({"model": "tiny", "messages": [HI]}, "max_tokens: "),
    (ASK | {"max_tokens": -1}, "max_tokens: "),
    (ASK | {"temperature": "hot"}, "temperature: "),
    (ASK | {"stop_sequences": ["x" * 2000]}, "stop_sequences[0]: "),
    (ASK | {"stop_sequences": ["x"] * 65}, "stop_sequences: "),
    (ASK | {"stream": "yes"}, "stream: "),
]


async def test_bad_requests_are_answered_with_what_is_wrong() -> None:
    service = Counting()
    async with serving(service) as client:
        for body, problem in BAD:
            answer = await client.post(PATH, json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["type"]) == (400, "invalid_request_error"), body
            assert problem in error["message"]
            assert (answer.json()["type"], error.keys()) == ("error", {"type", "message"})
        assert (await client.post(COUNT, json=said({"type": "image"}))).status_code == 400
    assert service.requests == []


async def test_a_message_whole_and_in_events() -> None:
    usage = {
        "input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 2,
    }  # fmt: skip
    async with serving(Counting()) as client:
        whole = (await client.post(PATH, json=ASK)).json()
        start, *rest = events(await client.post(PATH, json=ASK | {"stream": True}))
        count = (await client.post(COUNT, json={"model": "tiny", "messages": [HI]})).json()
    assert count == {"input_tokens": 42}
    assert whole.pop("id").startswith("msg_")
    assert whole == {
        "type": "message", "role": "assistant", "model": "tiny", "usage": usage, "stop_sequence": None,
        "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
    }  # fmt: skip
    assert start["message"].pop("id").startswith("msg_")
    beginning = usage | {"input_tokens": 7, "cache_read_input_tokens": 0, "output_tokens": 0}
    assert start["message"] == whole | {"content": [], "stop_reason": None, "usage": beginning}
    text = {"type": "text", "text": ""}
    assert rest == [
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reason": "stop", "stop": "x"}, "stop_sequence"),
        ({"reason": "cancelled"}, "end_turn"),
        ({"reason": "length", "usage": wire.Usage(completion_tokens=9)}, "max_tokens"),
        ({"reason": "length", "usage": wire.Usage(completion_tokens=8)}, "model_context_window_exceeded"),
    ],
)
async def test_why_an_answer_ended(change: dict[str, Any], reason: str) -> None:
    async with serving(Counting([DONE.model_copy(update=change)])) as client:
        whole = (await client.post(PATH, json=ASK)).json()
        *_, delta, _ = events(await client.post(PATH, json=ASK | {"stream": True}))
    end = {"stop_reason": reason, "stop_sequence": change.get("stop")}
    assert delta["delta"] == end == {name: whole[name] for name in end}


async def test_what_a_full_context_lost_and_what_was_drafted_is_said() -> None:
    ours = {"drafted_tokens": 5, "accepted_tokens": 4, "dropped_messages": 2, "shifted_tokens": 3}
    service = Counting([DONE.model_copy(update={"usage": wire.Usage(prompt_tokens=9, **ours)})])
    async with serving(service) as client:
        assert (await client.post(PATH, json=ASK)).json()["usage"].items() >= ours.items()


CRASHED = WorkerFailed("the worker of tiny was killed", hint="`nybble logs` shows why")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotFound("model 'tiny' not found"), 404, "not_found_error"),
        (CRASHED, 500, "api_error"),
        (ZeroDivisionError("a bug"), 500, "api_error"),
        (Overloaded("the queue is full"), 503, "overloaded_error"),
    ],
)
async def test_a_failure_is_a_status_or_the_last_event(error: Exception, status: int, kind: str) -> None:
    async with serving(Counting([*HELLO[:2], error])) as client:
        for stream in (True, False):
            early = await client.post(PATH, json=ASK | {"stream": stream})
            assert (early.status_code, early.json()["error"]["type"]) == (status, kind)
            assert ("retry-after" in early.headers) == (status == 503)
    async with serving(Counting([*HELLO[:4], error])) as client:
        late = await client.post(PATH, json=ASK | {"stream": True})
        *before, last = events(late)
        assert "a bug" not in late.text
    assert [each["type"] for each in before][:2] == ["message_start", "content_block_start"]
    assert (last["type"], last["error"]["type"]) == ("error", kind)
    assert "message_stop" not in late.text


async def test_a_stream_ends_once() -> None:
    """With the first end that there is, and with an error if there is none."""
    after = [*HELLO, wire.TextDelta(text="more"), DONE]
    for script, last in ((after, "message_stop"), (HELLO[:4], "error")):
        async with serving(Counting(script)) as client:
            response = await client.post(PATH, json=ASK | {"stream": True})
        assert [each["type"] for each in events(response)].count(last) == 1
        assert events(response)[-1]["type"] == last
        assert "more" not in response.text


async def test_errors_that_no_route_saw_are_in_the_dialect_too() -> None:
    async with serving(Counting()) as client:
        elsewhere = await client.post(PATH, json=ASK, headers={"origin": "https://evil.test"})
        method = await client.get(PATH)
        broken = await client.post(PATH, content=b"{")
    for answer, status, kind in (
        (elsewhere, 403, "permission_error"),
        (method, 405, "invalid_request_error"),
        (broken, 400, "invalid_request_error"),
    ):
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)


async def test_a_bad_schema_is_named() -> None:
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    async with serving(Counting([InvalidConstraint("unknown keyword")])) as client:
        answer = await client.post(PATH, json=ASK | {"output_config": form})
    assert answer.json()["error"]["message"] == "output_config.format: unknown keyword"


async def test_a_client_that_leaves_stops_the_work_once() -> None:
    """Queued, loading, in prefill, in decode: the script rests in each phase for ever."""
    never = asyncio.Event()
    service = Counting()
    async with serving(service) as client:
        for events_before in range(5):
            for stream in (True, False):
                service.script = [*HELLO[:events_before], never]
                asking = asyncio.create_task(client.post(PATH, json=ASK | {"stream": stream}))
                await asyncio.wait_for(service.resting.wait(), 60)
                asking.cancel()
                await asyncio.wait_for(service.ended.wait(), 60)
    assert (len(service.requests), service.running) == (10, 0)
