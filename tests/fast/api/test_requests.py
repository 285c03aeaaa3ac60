"""Requests: what reaches the core of a good one, and what is said of a bad one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner import wire
from tests.fast.api.scripted import ScriptedService, serving

MESSAGES = [{"role": "user", "content": "Hi"}]


async def asked(path: str, body: dict[str, Any]) -> wire.GenerateRequest:
    """What the core is asked for when `body` is sent to `path`."""
    service = ScriptedService()
    async with serving(service) as client:
        answer = await client.post(path, json={"model": "tiny", "stream": False} | body)
        assert answer.status_code == 200, answer.text
    (request,) = service.requests
    assert isinstance(request, wire.GenerateRequest)
    return request


async def test_ollamas_options() -> None:
    given = {
        "temperature": 0, "top_k": 7, "top_p": 0.5, "min_p": 0.1, "repeat_penalty": 1.1, "repeat_last_n": -1,
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "seed": 42, "num_predict": 9, "stop": "\n",
        "num_ctx": 256, "num_gpu": 99, "mirostat": 2, "no_such_option": "x",
    }  # fmt: skip
    request = await asked("/api/generate", {"prompt": "Hi", "options": given})
    assert request.options == wire.Options(
        temperature=0, top_k=7, top_p=0.5, min_p=0.1, repeat_penalty=1.1, repeat_last_n=-1,
        presence_penalty=0.2, frequency_penalty=0.3, seed=42, max_tokens=9, stop=["\n"], context_length=256,
    )  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"num_predict": -1, "seed": -1, "num_ctx": 0},
        {"num_predict": -2, "stop": [], "temperature": None},
    ],
)
async def test_ollamas_words_for_no_preference(given: dict[str, Any] | None) -> None:
    assert (await asked("/api/chat", {"messages": MESSAGES, "options": given})).options == wire.Options()


@pytest.mark.parametrize(
    ("spelled", "seconds"),
    [
        ("5m", 300), ("1h30m", 5400), ("300ms", 0.3), (10, 10), (0.1 + 0.2, 0.1 + 0.2), ("0", 0), (0, 0),
        (-1, -1), ("-1m", -1), (1e300, -1), (10**400, -1), ("9999999999h", -1), (None, None),
    ],
)  # fmt: skip
async def test_keep_alive(spelled: Any, seconds: float | None) -> None:
    assert (await asked("/api/generate", {"keep_alive": spelled})).keep_alive_s == seconds


async def test_ollamas_generate() -> None:
    request = await asked(
        "/api/generate", {"prompt": "Hi", "system": "Be brief.", "think": False, "format": ""}
    )
    assert (request.prompt, request.system, request.raw, request.messages) == ("Hi", "Be brief.", False, None)
    assert (await asked("/api/generate", {"prompt": "Hi", "raw": True})).raw


async def test_ollamas_chat() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        *MESSAGES,
        {"role": "assistant", "thinking": "Hm"},
    ]
    request = await asked("/api/chat", {"messages": messages, "tools": [], "format": None})
    assert request.messages == [
        wire.Message(role="system", content="Be brief."),
        wire.Message(role="user", content="Hi"),
        wire.Message(role="assistant", content=""),
    ]
    assert (await asked("/api/chat", {})).messages == []


async def test_openais_chat() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = {
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}],
        "max_tokens": 3, "max_completion_tokens": 4, "seed": -1, "stop": ["x", "y"], "temperature": 0.5,
        "top_p": 0.6, "presence_penalty": -1, "frequency_penalty": 1, "n": 1,
        "response_format": {"type": "text"}, "tools": None, "user": "me", "logprobs": False, "store": False,
    }  # fmt: skip
    request = await asked("/v1/chat/completions", body)
    assert request.messages == [
        wire.Message(role="system", content="Be brief."),
        wire.Message(role="user", content="a\nb"),
    ]
    assert request.options == wire.Options(
        max_tokens=4, seed=2**32 - 1, stop=["x", "y"], temperature=0.5, top_p=0.6, presence_penalty=-1,
        frequency_penalty=1,
    )  # fmt: skip
    assert (await asked("/v1/chat/completions", {"messages": MESSAGES})).options == wire.Options()


async def test_openais_completion_continues_the_text_itself() -> None:
    request = await asked("/v1/completions", {"prompt": ["Once"]})
    assert (request.prompt, request.raw, request.options.max_tokens) == ("Once", True, 16)
    assert (await asked("/v1/completions", {"prompt": "a", "max_tokens": None})).options.max_tokens is None


GENERATE, CHAT = "/api/generate", "/api/chat"
V1_CHAT, V1_TEXT = "/v1/chat/completions", "/v1/completions"
OURS = "/nybble/generate"
HUGE = b'{"model": "tiny", "prompt": ' + b"1" * 10**5 + b"}"


# Path, body (over a model name and no streaming), what the message says.
BAD: list[tuple[str, bytes | dict[str, Any], str]] = [
    (GENERATE, b"", "missing request body"),
    (GENERATE, b"null", "the body must be a JSON object"),
    (GENERATE, b"{", "invalid JSON"),
    (GENERATE, b'{"model": "tiny"} x', "invalid JSON"),
    (GENERATE, b"[1]", "the body must be a JSON object"),
    (GENERATE, b'"tiny"', "the body must be a JSON object"),
    (GENERATE, b"[" * 10**5, "invalid JSON"),
    (GENERATE, b'{"model": ' + b'{"a":' * 10**5, "invalid JSON"),
    (GENERATE, b'{"model": "\xff"}', "invalid JSON"),
    (GENERATE, b'{"model": "\\ud800"}', "invalid JSON"),
    (GENERATE, HUGE, "invalid JSON"),
    (V1_CHAT, b"{", "invalid JSON"),
    (OURS, b"{", "invalid JSON"),
    (GENERATE, {"model": None}, "model: "),
    (GENERATE, {"model": 5}, "model: "),
    (GENERATE, {"prompt": ["Hi"]}, "prompt: "),
    (GENERATE, {"stream": "yes"}, "stream: "),
    (GENERATE, {"options": []}, "options: "),
    (GENERATE, {"options": {"temperature": "hot"}}, "options.temperature: "),
    (GENERATE, {"options": {"temperature": "0.5"}}, "options.temperature: "),
    (GENERATE, {"options": {"temperature": -1}}, "options.temperature: "),
    (GENERATE, b'{"model": "tiny", "options": {"temperature": NaN}}', "options.temperature: "),
    (GENERATE, b'{"model": "tiny", "options": {"top_p": Infinity}}', "options.top_p: "),
    (GENERATE, {"options": {"top_k": 1.5}}, "options.top_k: "),
    (GENERATE, {"options": {"top_k": -5}}, "options.top_k: "),
    (GENERATE, {"options": {"top_k": True}}, "options.top_k: "),
    (GENERATE, {"options": {"num_predict": 2.5}}, "options.num_predict: "),
    (GENERATE, {"options": {"num_ctx": -1}}, "options.num_ctx: "),
    (GENERATE, {"options": {"num_ctx": 10**9}}, "options.num_ctx: "),
    (GENERATE, {"options": {"seed": 2**64}}, "options.seed: "),
    (GENERATE, {"options": {"repeat_penalty": 0}}, "options.repeat_penalty: "),
    (GENERATE, {"options": {"stop": ["x", 5]}}, "options.stop[1]: "),
    (GENERATE, {"options": {"stop": ["x"] * 10_000}}, "options.stop: "),
    (GENERATE, {"options": {"stop": "x" * 2**20}}, "options.stop[0]: "),
    (GENERATE, {"keep_alive": ""}, "keep_alive: "),
    (GENERATE, {"keep_alive": "1e9h"}, "keep_alive: "),
    (GENERATE, {"keep_alive": []}, "keep_alive: "),
    (GENERATE, {"keep_alive": True}, "keep_alive: "),
    (GENERATE, b'{"model": "tiny", "keep_alive": NaN}', "keep_alive: "),
    (GENERATE, {"raw": True, "system": "x"}, "raw: "),
    (GENERATE, {"suffix": "x"}, '"tiny" does not support insert. Leave out `suffix`'),
    (GENERATE, {"images": ["aGk="]}, "`images`"),
    (GENERATE, {"template": "{{ .Prompt }}"}, "`template`"),
    (GENERATE, {"context": [1, 2]}, "`context`"),
    (GENERATE, {"format": "json"}, "`format`"),
    (CHAT, {"format": {"type": "object"}}, "`format`"),
    (CHAT, {"think": "high"}, '"tiny" does not support thinking'),
    (CHAT, {"logprobs": True}, "`logprobs`"),
    (CHAT, {"tools": [{"type": "function"}]}, '"tiny" does not support tools'),
    (CHAT, {"messages": "Hi"}, "messages: "),
    (CHAT, {"messages": ["Hi"]}, "messages[0]: "),
    (CHAT, {"messages": [*MESSAGES, {"role": "user", "content": 5}]}, "messages[1].content: "),
    (CHAT, {"messages": [{"content": "Hi"}]}, "messages[0].role: "),
    (CHAT, {"messages": [{"role": "im_start", "content": "Hi"}]}, "messages[0].role: "),
    (CHAT, {"messages": [{"role": "user", "images": ["aGk="]}]}, "`messages[0].images`"),
    (CHAT, {"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "`messages[0].tool_calls`"),
    (V1_CHAT, {}, "messages: "),
    (V1_CHAT, {"messages": []}, "messages: "),
    (V1_CHAT, {"messages": [{"role": "user", "content": {}}]}, "messages[0].content: "),
    (V1_CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content: "),
    (V1_CHAT, {"messages": MESSAGES, "n": 2}, "`n`"),
    (V1_CHAT, {"messages": MESSAGES, "n": 0}, "`n`"),
    (V1_CHAT, {"messages": MESSAGES, "tools": [{}]}, "`tools`"),
    (V1_CHAT, {"messages": MESSAGES, "logprobs": True}, "`logprobs`"),
    (V1_CHAT, {"messages": MESSAGES, "logit_bias": {"5": 1}}, "`logit_bias`"),
    (V1_CHAT, {"messages": MESSAGES, "response_format": {"type": "json_object"}}, "`response_format`"),
    (V1_CHAT, {"messages": MESSAGES, "reasoning_effort": "high"}, "`reasoning_effort`"),
    (V1_CHAT, {"messages": MESSAGES, "modalities": ["audio"]}, "`modalities`"),
    (V1_CHAT, {"messages": MESSAGES, "max_tokens": -5}, "max_tokens: "),
    (V1_CHAT, {"messages": MESSAGES, "max_completion_tokens": -5}, "max_completion_tokens: "),
    (V1_CHAT, {"messages": MESSAGES, "seed": 2**64}, "seed: "),
    (V1_CHAT, {"messages": MESSAGES, "temperature": 1e308}, "temperature: "),
    (V1_CHAT, {"messages": MESSAGES, "stop": {}}, "stop: "),
    (V1_CHAT, {"messages": MESSAGES, "stream_options": []}, "stream_options: "),
    (V1_TEXT, {"prompt": ["a", "b"]}, "prompt: "),
    (V1_TEXT, {"prompt": [1, 2, 3]}, "prompt: "),
    (V1_TEXT, {"prompt": ""}, "prompt: "),
    (V1_TEXT, {}, "prompt: "),
    (V1_TEXT, {"prompt": "a", "echo": True}, "`echo`"),
    (V1_TEXT, {"prompt": "a", "best_of": 3}, "`best_of`"),
    (V1_TEXT, {"prompt": "a", "suffix": "b"}, "`suffix`"),
    (OURS, {"options": {"top_p": 2}}, "options.top_p: "),
    (OURS, {"messages": [{"role": "user"}]}, "messages[0].content: "),
    ("/api/pull", {"model": None}, "model is required"),
    ("/api/pull", {"model": "/etc/passwd"}, "model: is a path"),
    ("/api/copy", {"source": "a"}, "destination: "),
    ("/nybble/pull", {"name": 5}, "name: "),
]


async def test_bad_requests_are_answered_with_what_is_wrong() -> None:
    service = ScriptedService()
    async with serving(service) as client:
        for path, body, said in BAD:
            content = (
                body if isinstance(body, bytes) else json.dumps({"model": "tiny", "stream": False} | body)
            )
            answer = await client.post(path, content=content)
            assert answer.status_code == 400, (path, body)
            assert said in message(path, answer.json()["error"]), (path, body)
    assert service.requests == []


def message(path: str, error: Any) -> str:
    """The sentence of an error, and that its body is what the dialect of `path` prescribes."""
    if path.startswith("/v1/"):
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        if error["param"]:
            assert error["param"] in error["message"]
    elif path.startswith("/nybble/"):
        assert error.keys() == {"message", "hint", "code", "status"}
    sentence: str = error if isinstance(error, str) else error["message"]
    return sentence


async def test_a_bug_is_a_500_that_tells_nothing_of_the_inside() -> None:
    async with serving(ScriptedService([ZeroDivisionError("a secret of the code")])) as client:
        for path in (GENERATE, V1_TEXT, OURS):
            answer = await client.post(path, json={"model": "tiny", "prompt": "Hi"})
            assert answer.status_code == 500
            assert "nybble logs" in answer.text
            assert "secret" not in answer.text


async def test_unknown_routes_and_methods() -> None:
    async with serving(ScriptedService()) as client:
        embed = await client.post("/api/embed", json={})
        files = await client.get("/v1/files")
        method = await client.get("/api/chat")
    assert (embed.status_code, embed.json()) == (404, {"error": "POST /api/embed: Not Found"})
    assert (files.status_code, files.json()["error"]["code"]) == (404, "no_such_route")
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
