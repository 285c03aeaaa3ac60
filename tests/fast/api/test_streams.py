"""How answers begin and end, in each dialect: framing, failures, silence, clients that go away."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from modelstore.errors import NotFound
from runner import wire
from runner.errors import Overloaded, WorkerFailed
from tests.fast.api.scripted import DONE, HELLO, ScriptedService, serving

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
STREAMS = ["/api/chat", "/v1/chat/completions", "/nybble/generate"]
CRASHED = WorkerFailed("the worker of tiny was killed", hint="`nybble logs` shows why")


def records(response: httpx.Response) -> list[Any]:
    """Ollama's and our lines, or OpenAI's data without comments; every byte must be accounted for."""
    if response.headers["content-type"] == "application/x-ndjson":
        assert response.text.endswith("\n")
        return [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    *blocks, rest = response.text.split("\n\n")
    assert rest == "" and all(block.startswith(("data: ", ":")) for block in blocks)
    data = [block.removeprefix("data: ") for block in blocks if not block.startswith(":")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


async def test_ollama_chat_lines() -> None:
    async with serving(ScriptedService()) as client:
        first, second, last = records(await client.post("/api/chat", json=CHAT))
    assert (first["message"], first["done"]) == ({"role": "assistant", "content": "Hel"}, False)
    assert second["message"]["content"] == "lo"
    del last["created_at"]
    assert last == {
        "model": "tiny",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "total_duration": 2_250_000_000,
        "load_duration": 500_000_000,
        "prompt_eval_count": 7,
        "prompt_eval_cached_count": 3,
        "prompt_eval_duration": 250_000_000,
        "eval_count": 2,
        "eval_duration": 1_500_000_000,
    }


async def test_ollama_generate_lines_and_whole() -> None:
    async with serving(ScriptedService()) as client:
        lines = records(await client.post("/api/generate", json={"model": "tiny", "prompt": "Hi"}))
        whole = (await client.post("/api/generate", json={"model": "tiny", "stream": False})).json()
    assert [line["response"] for line in lines] == ["Hel", "lo", ""]
    assert (whole["response"], whole["done"], whole["eval_count"]) == ("Hello", True, 2)


async def test_zero_metrics_are_left_out() -> None:
    loaded = ScriptedService([wire.Done(model="tiny:latest", reason="load")])
    async with serving(loaded) as client:
        (line,) = records(await client.post("/api/chat", json={"model": "tiny", "messages": []}))
    del line["created_at"]
    message = {"role": "assistant", "content": ""}
    assert line == {"model": "tiny", "message": message, "done": True, "done_reason": "load"}


async def test_openai_chunks() -> None:
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
    async with serving(ScriptedService()) as client:
        *chunks, usage, done = records(await client.post("/v1/chat/completions", json=body))
    assert done == "[DONE]"
    assert len({(chunk["id"], chunk["created"]) for chunk in [*chunks, usage]}) == 1
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert not any("usage" in chunk for chunk in chunks)
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 9)


async def test_openai_text_completion_chunks() -> None:
    body = {"model": "tiny", "prompt": "Hi", "stream": True}
    async with serving(ScriptedService()) as client:
        *chunks, done = records(await client.post("/v1/completions", json=body))
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["Hel", "lo", ""]
    assert done == "[DONE]"


async def test_our_own_dialect_passes_every_event_on() -> None:
    async with serving(ScriptedService()) as client:
        events = records(await client.post("/nybble/generate", json=CHAT))
    assert [event["type"] for event in events] == [
        "queued", "loading", "prefill", "delta", "delta", "delta", "done",
    ]  # fmt: skip


async def test_an_error_before_the_first_event_is_a_status() -> None:
    sentence = "model 'tiny' not found. Did you mean 'tina'?"
    openai = {"message": sentence, "type": "invalid_request_error", "param": None, "code": "model_not_found"}
    ours = {
        "message": "model 'tiny' not found",
        "hint": "did you mean 'tina'?",
        "code": "model_not_found",
        "status": 404,
    }
    missing = ScriptedService([NotFound(ours["message"], hint=ours["hint"])])
    async with serving(missing) as client:
        for path, error in zip(STREAMS, [sentence, openai, ours], strict=True):
            for stream in (True, False):
                response = await client.post(path, json=CHAT | {"stream": stream})
                assert (response.status_code, response.json()) == (404, {"error": error})
                assert response.headers["content-type"] == "application/json"


async def test_a_model_that_fails_to_load_is_a_status_too() -> None:
    async with serving(ScriptedService([*HELLO[:2], CRASHED])) as client:
        for path in STREAMS[:2]:
            assert (await client.post(path, json=CHAT | {"stream": True})).status_code == 500


async def test_overload_says_when_to_come_back() -> None:
    async with serving(ScriptedService([Overloaded("the queue is full")])) as client:
        response = await client.post("/api/chat", json=CHAT)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ([CRASHED], "the worker of tiny was killed"),
        ([ZeroDivisionError("a bug")], "should not have"),
        ([], "without a result"),
    ],
)
async def test_a_failed_stream_ends_with_one_error(last: list[Exception], said: str) -> None:
    async with serving(ScriptedService([*HELLO[:4], *last])) as client:
        for path in STREAMS:
            response = await client.post(path, json=CHAT | {"stream": True})
            *before, error = records(response)
            assert response.status_code == 200
            assert said in json.dumps(error["error"])
            assert "a bug" not in response.text
            assert before and not any("error" in record for record in before)


async def test_a_failed_whole_answer_is_a_status() -> None:
    async with serving(ScriptedService([*HELLO[:4], CRASHED])) as client:
        for path in STREAMS[:2]:
            response = await client.post(path, json=CHAT | {"stream": False})
            assert response.status_code == 500
            assert "was killed" in response.text


async def test_nothing_follows_the_end() -> None:
    service = ScriptedService([*HELLO, wire.TextDelta(text="more"), DONE])
    async with serving(service) as client:
        for path in STREAMS:
            response = await client.post(path, json=CHAT | {"stream": True})
            assert "more" not in response.text
            assert service.ended.is_set()


async def test_silence_in_prefill_is_filled_with_comments() -> None:
    quiet = asyncio.Event()
    service = ScriptedService([*HELLO[:3], quiet, *HELLO[3:]])
    async with (
        serving(service) as client,
        client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as response,
    ):
        lines = response.aiter_lines()
        seen = [await anext(lines) for _ in range(5)]
        quiet.set()
        rest = [line async for line in lines]
    assert [line for line in seen if line][1:] == [": waiting", ": waiting"]
    assert rest[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize("path", STREAMS)
async def test_a_client_that_leaves_stops_the_work(path: str) -> None:
    """Queued, loading, in prefill, in decode: the script rests in each phase for ever."""
    never = asyncio.Event()
    service = ScriptedService()
    async with serving(service) as client:
        for events_before in range(5):
            for stream in (True, False):
                service.script = [*HELLO[:events_before], never]
                asking = asyncio.create_task(client.post(path, json=CHAT | {"stream": stream}))
                await asyncio.wait_for(service.resting.wait(), 2)
                asking.cancel()
                await asyncio.wait_for(service.ended.wait(), 2)


async def test_a_pull_in_ollamas_words() -> None:
    digest = "sha256:" + "ab" * 32
    info = wire.ModelInfo(
        name="tiny:latest", digest=digest, size_bytes=9, modified_at="2026-01-01T00:00:00Z", source="file"
    )
    script = [
        wire.JobProgress(phase="resolving"),
        wire.JobProgress(phase="downloading", digest=digest, completed_bytes=4, total_bytes=9),
        wire.JobDone(model=info),
    ]
    service = ScriptedService(script)
    async with serving(service) as client:
        lines = records(await client.post("/api/pull", json={"name": "tiny"}))
        whole = (await client.post("/api/pull", json={"model": "tiny", "stream": False})).json()
    assert lines == [
        {"status": "resolving"},
        {"status": "pulling abababababab", "digest": digest, "completed": 4, "total": 9},
        {"status": "success"},
    ]
    assert whole == {"status": "success"}
    assert service.requests == [wire.PullRequest(name="tiny")] * 2
