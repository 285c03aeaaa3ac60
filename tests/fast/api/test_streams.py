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


def token(text: str, *data: int, logprob: float = -0.5) -> wire.Alternative:
    return wire.Alternative(token=9, text=text, data=[*data] or [*text.encode()], logprob=logprob)


def chosen(alternative: wire.Alternative, *top: wire.Alternative) -> wire.TokenLogprob:
    return wire.TokenLogprob(**alternative.model_dump(), top=[*top])


# "A" and a euro sign of two tokens; the first half of it has no text to show yet.
A, HALF, REST = token("A"), token("\ufffd", 0xE2, 0x82), token("\ufffd", 0xAC)
WITH_LOGPROBS = ScriptedService(
    [
        wire.TextDelta(text="A", completion_tokens=1, logprobs=[chosen(A, A, token("B", logprob=-1))]),
        wire.TextDelta(text="", completion_tokens=2, logprobs=[chosen(HALF)]),
        wire.TextDelta(text="€", completion_tokens=3, logprobs=[chosen(REST)]),
        DONE,
    ]
)


async def test_ollamas_logprobs() -> None:
    async with serving(WITH_LOGPROBS) as client:
        *lines, last = records(await client.post("/api/chat", json=CHAT | {"top_logprobs": 2}))
        whole = (await client.post("/api/chat", json=CHAT | {"logprobs": True, "stream": False})).json()
    a, half, _ = whole["logprobs"]
    assert a == {
        "token": "A", "logprob": -0.5, "bytes": [65], "top_logprobs": [
            {"token": "A", "logprob": -0.5, "bytes": [65]}, {"token": "B", "logprob": -1.0, "bytes": [66]},
        ],
    }  # fmt: skip
    assert half == {"token": "\ufffd", "logprob": -0.5, "bytes": [0xE2, 0x82]}
    assert [line["logprobs"] for line in lines] == [[each] for each in whole["logprobs"]]
    assert "logprobs" not in last


async def test_openais_logprobs_of_a_chat() -> None:
    body = CHAT | {"logprobs": True, "top_logprobs": 2}
    async with serving(WITH_LOGPROBS) as client:
        whole = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]["logprobs"]
        *chunks, _ = records(await client.post("/v1/chat/completions", json=body | {"stream": True}))
    a, half, _ = whole["content"]
    assert whole["refusal"] is None
    assert [each["token"] for each in a["top_logprobs"]] == ["A", "B"]
    assert half == {"token": "\ufffd", "logprob": -0.5, "bytes": [0xE2, 0x82], "top_logprobs": []}
    streamed = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert streamed[0] is None and streamed[-1] is None
    assert [each["content"] for each in streamed[1:-1]] == [[each] for each in whole["content"]]


async def test_openais_logprobs_of_a_text() -> None:
    body = {"model": "tiny", "prompt": "Hi", "logprobs": 2}
    async with serving(WITH_LOGPROBS) as client:
        whole = (await client.post("/v1/completions", json=body)).json()["choices"][0]["logprobs"]
        *chunks, _, _ = records(await client.post("/v1/completions", json=body | {"stream": True}))
    assert whole == {
        "tokens": ["A", r"bytes:\xe2\x82", r"bytes:\xac"],
        "token_logprobs": [-0.5] * 3,
        "top_logprobs": [{"A": -0.5, "B": -1.0}, {r"bytes:\xe2\x82": -0.5}, {r"bytes:\xac": -0.5}],
        "text_offset": [0, 1, 1],
    }
    for name, values in whole.items():
        assert [chunk["choices"][0]["logprobs"][name] for chunk in chunks] == [[value] for value in values]


FULL = DONE.model_copy(
    update={
        "usage": wire.Usage(
            prompt_tokens=7, cached_tokens=3, completion_tokens=9, drafted_tokens=6, accepted_tokens=4,
            dropped_messages=2, shifted_tokens=5,
        )
    }
)  # fmt: skip


async def test_speculation_and_what_was_left_out_are_told_in_each_dialect() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"accepted_prediction_tokens": 4, "rejected_prediction_tokens": 2},
        "dropped_messages": 2,
        "shifted_tokens": 5,
    }
    counts = {"draft_count": 6, "draft_accepted_count": 4, "dropped_messages": 2, "shifted_count": 5}
    async with serving(ScriptedService([*HELLO[:-1], FULL])) as client:
        *_, last = records(await client.post("/api/chat", json=CHAT))
        assert {name: last[name] for name in counts} == counts
        whole = (await client.post("/v1/chat/completions", json=CHAT)).json()["usage"]
        assert whole == {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16} | details
        *before, end, _ = records(await client.post("/v1/chat/completions", json=CHAT | {"stream": True}))
        assert (end["choices"][0]["finish_reason"], end["usage"]) == ("stop", whole)
        assert not any("usage" in chunk for chunk in before)
        *_, ours = records(await client.post("/nybble/generate", json=CHAT))
        assert ours["usage"]["dropped_messages"] == 2


async def test_several_choices() -> None:
    body = CHAT | {"n": 3}
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    async with serving(ScriptedService([*HELLO[:-1], FULL])) as client:
        whole = (await client.post("/v1/chat/completions", json=body)).json()
        *chunks, usage, done = records(await client.post("/v1/chat/completions", json=body | streaming))
        prompts = {"model": "tiny", "prompt": ["a", "b"], "n": 2}
        texts = (await client.post("/v1/completions", json=prompts)).json()
    assert [(each["index"], each["message"]["content"]) for each in whole["choices"]] == [
        (0, "Hello"), (1, "Hello"), (2, "Hello"),
    ]  # fmt: skip
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (7, 27)
    for index in range(3):
        own = [each for chunk in chunks for each in chunk["choices"] if each["index"] == index]
        assert [each["delta"] for each in own] == [
            {"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}, {},
        ]  # fmt: skip
    assert (usage["choices"], usage["usage"], done) == ([], whole["usage"], "[DONE]")
    assert [each["text"] for each in texts["choices"]] == ["Hello"] * 4
    # Each prompt counts once, however many choices it has.
    assert (texts["usage"]["prompt_tokens"], texts["usage"]["dropped_messages"]) == (14, 4)


async def test_one_choice_that_fails_fails_the_answer_and_ends_the_others() -> None:
    never = asyncio.Event()

    class Unequal(ScriptedService):
        def generate(self, request: wire.GenerateRequest) -> Any:
            return self._play(request, [*HELLO[:4], never if request.options.seed == 1 else CRASHED])

    service = Unequal()
    body = CHAT | {"n": 2, "seed": 1}
    async with serving(service) as client:
        whole = await client.post("/v1/chat/completions", json=body)
        *_, error = records(await client.post("/v1/chat/completions", json=body | {"stream": True}))
        await asyncio.wait_for(service.ended.wait(), 60)
    assert (whole.status_code, error["error"]["code"]) == (500, "worker_crashed")


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


async def test_waiting_is_told_in_our_dialect_only() -> None:
    waiting = [wire.Queued(position=2), wire.Queued(position=1), wire.Reloading(reason="a longer context")]
    async with serving(ScriptedService([*waiting, *HELLO[2:]])) as client:
        ours = records(await client.post("/nybble/generate", json=CHAT))
        ollamas = records(await client.post("/api/chat", json=CHAT))
        openais = records(await client.post("/v1/chat/completions", json=CHAT | {"stream": True}))
    assert ours[:3] == [
        {"type": "queued", "position": 2},
        {"type": "queued", "position": 1},
        {"type": "reloading", "reason": "a longer context"},
    ]
    assert (ollamas[0]["message"]["content"], len(openais)) == ("Hel", 5)


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


async def test_silence_in_prefill_is_filled_again_and_again() -> None:
    """OpenAI's with comments, Anthropic's with pings; both at once, since silence takes its time."""
    quiet, both = asyncio.Event(), asyncio.Barrier(2)

    async def lines_of(path: str, until_filled: int) -> tuple[list[str], list[str]]:
        """The first `until_filled` lines, after which it goes on, and the rest."""
        body = CHAT | {"stream": True, "max_tokens": 9}
        async with client.stream("POST", path, json=body) as response:
            lines = response.aiter_lines()
            seen = [await anext(lines) for _ in range(until_filled)]
            await both.wait()
            quiet.set()
            return seen, [line async for line in lines]

    async with serving(ScriptedService([*HELLO[:3], quiet, *HELLO[3:]])) as client:
        (comments, openais), (pings, anthropics) = await asyncio.gather(
            lines_of("/v1/chat/completions", 5), lines_of("/v1/messages", 12)
        )
    assert [line for line in comments if line][1:] == [": waiting", ": waiting"]
    assert openais[-2:] == ["data: [DONE]", ""]
    assert pings[::3][2:] == ["event: ping"] * 2
    assert anthropics[-3] == "event: message_stop"


@pytest.mark.parametrize("path", STREAMS)
async def test_a_client_that_leaves_stops_the_work(path: str) -> None:
    """Queued, loading, in prefill, in decode: the script rests in each phase for ever. OpenAI's asks for two
    choices."""
    never = asyncio.Event()
    service = ScriptedService()
    async with serving(service) as client:
        for events_before in range(5):
            for stream in (True, False):
                service.script = [*HELLO[:events_before], never]
                asking = asyncio.create_task(client.post(path, json=CHAT | {"stream": stream, "n": 2}))
                await asyncio.wait_for(service.resting.wait(), 60)
                asking.cancel()
                await asyncio.wait_for(service.ended.wait(), 60)
    assert (len(service.requests), service.running) == (20 if path.startswith("/v1/") else 10, 0)


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
