"""Requests: what reaches the core of a good one, and what is said of a bad one."""

from __future__ import annotations

import json
from typing import Any

from runner import wire
from runner.errors import InvalidConstraint
from tests.fast.api.scripted import ScriptedService, serving

MESSAGES = [{"role": "user", "content": "Hi"}]
GENERATE, CHAT = "/api/generate", "/api/chat"
V1_CHAT, V1_TEXT, V1_MESSAGES = "/v1/chat/completions", "/v1/completions", "/v1/messages"
OURS = "/nybble/generate"


async def asked(path: str, *bodies: dict[str, Any]) -> list[wire.GenerateRequest]:
    """What the core is asked for when each of `bodies` is sent to `path`."""
    service = ScriptedService()
    async with serving(service) as client:
        for body in bodies:
            answer = await client.post(path, json={"model": "tiny", "stream": False} | body)
            assert answer.status_code == 200, answer.text
    return service.requests


EXOTIC: dict[str, Any] = {
    "typical_p": 0.7, "top_n_sigma": 2, "xtc_probability": 0.4, "xtc_threshold": 0.2, "mirostat": 2,
    "mirostat_tau": 4, "mirostat_eta": 0.2, "dry_multiplier": 0.8, "dry_base": 1.5, "dry_allowed_length": 3,
    "dry_penalty_last_n": 99, "dry_sequence_breakers": ["."], "ignore_eos": True,
    "logit_bias": {"15": -100, "7": 1.5},
}  # fmt: skip
EXOTIC_OURS = EXOTIC | {"logit_bias": {15: -100, 7: 1.5}}


async def test_ollamas_options() -> None:
    given = {
        "temperature": 0, "top_k": 7, "top_p": 0.5, "min_p": 0.1, "repeat_penalty": 1.1, "repeat_last_n": -1,
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "seed": 42, "num_predict": 9, "stop": "\n",
        "num_ctx": 256, "num_keep": 24, "num_gpu": 99, "tfs_z": 0.5, "no_such_option": "x",
        "draft_num_predict": 0,
    }  # fmt: skip
    (request,) = await asked(GENERATE, {"prompt": "Hi", "options": given | EXOTIC})
    assert not request.speculation
    assert request.options == wire.Options(
        **EXOTIC_OURS, temperature=0, top_k=7, top_p=0.5, min_p=0.1, repeat_penalty=1.1, repeat_last_n=-1,
        presence_penalty=0.2, frequency_penalty=0.3, seed=42, max_tokens=9, stop=["\n"], context_length=256,
        kept_tokens=24,
    )  # fmt: skip


async def test_ollamas_words_for_no_preference() -> None:
    nothing = {"num_predict": -1, "seed": -1, "num_ctx": 0}
    every = [None, {}, nothing, {"num_predict": -2, "stop": [], "temperature": None}]
    requests = await asked(CHAT, *({"messages": MESSAGES, "options": given} for given in every))
    assert [request.options for request in requests] == [wire.Options()] * 4


async def test_keep_alive() -> None:
    cases = [
        ("5m", 300), ("1h30m", 5400), ("300ms", 0.3), (10, 10), (0.1 + 0.2, 0.1 + 0.2), ("0", 0), (0, 0),
        (-1, -1), ("-1m", -1), (1e300, -1), (10**400, -1), ("9999999999h", -1), (None, None),
    ]  # fmt: skip
    requests = await asked(GENERATE, *({"keep_alive": spelled} for spelled, _ in cases))
    assert [request.keep_alive_s for request in requests] == [seconds for _, seconds in cases]


async def test_ollamas_generate() -> None:
    brief = {"prompt": "Hi", "system": "Be brief.", "think": False, "format": ""}
    request, raw = await asked(GENERATE, brief, {"prompt": "Hi", "raw": True})
    assert (request.prompt, request.system, request.raw, request.messages) == ("Hi", "Be brief.", False, None)
    assert raw.raw


async def test_ollamas_chat() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        *MESSAGES,
        {"role": "assistant", "thinking": "Hm"},
    ]
    request, load = await asked(CHAT, {"messages": messages, "tools": [], "format": None}, {})
    assert request.messages == [
        wire.Message(role="system", content="Be brief."),
        wire.Message(role="user", content="Hi"),
        wire.Message(role="assistant", content=""),
    ]
    assert load.messages == []


async def test_openais_chat() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = {
        "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}],
        "max_tokens": 3, "max_completion_tokens": 4, "seed": -1, "stop": ["x", "y"], "temperature": 0.5,
        "top_p": 0.6, "presence_penalty": -1, "frequency_penalty": 1, "n": 1, "top_k": 3, "min_p": 0.1,
        "response_format": {"type": "text"}, "tools": None, "user": "me", "logprobs": False, "store": False,
    }  # fmt: skip
    request, plain = await asked(V1_CHAT, body | EXOTIC, {"messages": MESSAGES})
    assert request.messages == [
        wire.Message(role="system", content="Be brief."),
        wire.Message(role="user", content="a\nb"),
    ]
    assert request.options == wire.Options(
        **EXOTIC_OURS, max_tokens=4, seed=2**32 - 1, stop=["x", "y"], temperature=0.5, top_p=0.6,
        presence_penalty=-1, frequency_penalty=1, top_k=3, min_p=0.1,
    )  # fmt: skip
    assert plain.options == wire.Options()


async def test_openais_completion_continues_the_text_itself() -> None:
    request, unlimited = await asked(V1_TEXT, {"prompt": ["Once"]}, {"prompt": "a", "max_tokens": None})
    assert (request.prompt, request.raw, request.options.max_tokens) == ("Once", True, 16)
    assert unlimited.options.max_tokens is None
    several = await asked(V1_TEXT, {"prompt": ["a", "b"], "n": 2, "seed": 5})
    assert [(request.prompt, request.options.seed) for request in several] == [
        ("a", 5), ("a", 6), ("b", 5), ("b", 6),
    ]  # fmt: skip


SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {}}}
SPELLED = '{"type":"object","properties":{"b":{"type":"integer"},"a":{}}}'
JSON = wire.Constraint(kind="json")
TO_SCHEMA = wire.Constraint(kind="json_schema", source=SPELLED)


async def test_constraints() -> None:
    named = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}
    free = wire.Constraint(kind="json_schema", source="{}")
    requests = await asked(CHAT, *({"format": form} for form in ("json", "", SCHEMA, {})))
    assert [request.constraint for request in requests] == [JSON, None, TO_SCHEMA, free]
    cases: list[tuple[dict[str, Any], wire.Constraint | None]] = [
        ({"response_format": {"type": "json_object"}}, JSON),
        ({"response_format": {"type": "json_object", "schema": SCHEMA}}, TO_SCHEMA),
        ({"response_format": named}, TO_SCHEMA),
        ({"grammar": "root ::= a"}, wire.Constraint(kind="gbnf", source="root ::= a")),
        ({"guided_regex": "a+"}, wire.Constraint(kind="regex", source="a+")),
        ({"guided_grammar": "start: A"}, wire.Constraint(kind="lark", source="start: A")),
        ({"guided_json": SCHEMA}, TO_SCHEMA),
        (
            {"guided_choice": ["yes", 'a "no"']},
            wire.Constraint(kind="lark", source=r'start: "yes" | "a \"no\""'),
        ),
        ({"structured_outputs": {"json": SCHEMA, "whitespace_pattern": None}}, TO_SCHEMA),
        ({"structured_outputs": {"regex": "a+"}}, wire.Constraint(kind="regex", source="a+")),
        ({"structured_outputs": {"choice": ["a"]}}, wire.Constraint(kind="lark", source='start: "a"')),
        ({"structured_outputs": {"grammar": "start: A"}}, wire.Constraint(kind="lark", source="start: A")),
        ({"grammar": "", "structured_outputs": {}, "response_format": {"type": "text"}}, None),
    ]
    for path, text in ((V1_CHAT, {"messages": MESSAGES}), (V1_TEXT, {"prompt": "Hi"})):
        requests = await asked(path, *(text | body for body, _ in cases))
        assert [request.constraint for request in requests] == [constraint for _, constraint in cases]


async def test_how_many_alternatives() -> None:
    for path, cases in {
        CHAT: [
            ({"logprobs": False, "top_logprobs": 0}, None),
            ({"logprobs": True}, 0),
            ({"top_logprobs": 20}, 20),
        ],
        V1_CHAT: [({"logprobs": False, "top_logprobs": 0}, None), ({"logprobs": True, "top_logprobs": 3}, 3)],
        V1_TEXT: [({}, None), ({"logprobs": 0}, 0), ({"logprobs": 5}, 5)],
    }.items():
        requests = await asked(path, *({"messages": MESSAGES, "prompt": "a"} | body for body, _ in cases))
        assert [request.top_logprobs for request in requests] == [alternatives for _, alternatives in cases]


async def test_what_a_full_context_does() -> None:
    for path, cases in {
        CHAT: [
            ({}, None),
            ({"truncate": False, "shift": True}, "error"),
            ({"truncate": True}, "truncate"),
            ({"shift": False}, "truncate"),
            ({"truncate": True, "shift": True}, "shift"),
            ({"truncate": False, "options": {"overflow": "shift"}}, "shift"),
        ],
        V1_CHAT: [
            ({}, None),
            ({"truncation": "auto"}, "truncate"),
            ({"truncation": "disabled"}, "error"),
            ({"truncation": "auto", "overflow": "shift"}, "shift"),
        ],
        V1_TEXT: [({}, None), ({"overflow": "truncate"}, "truncate")],
        V1_MESSAGES: [({"max_tokens": 1}, None), ({"max_tokens": 1, "overflow": "shift"}, "shift")],
    }.items():
        requests = await asked(path, *({"messages": MESSAGES, "prompt": "a"} | body for body, _ in cases))
        assert [request.overflow for request in requests] == [overflow for _, overflow in cases]


async def test_every_dialect_may_ask_for_a_larger_context() -> None:
    for path in (V1_CHAT, V1_TEXT, V1_MESSAGES):
        body = {"messages": MESSAGES, "prompt": "a", "max_tokens": 1}
        asks = await asked(path, body | {"num_ctx": 256}, body | {"num_ctx": 0}, body)
        assert [ask.options.context_length for ask in asks] == [256, None, None]


async def test_seeds_of_64_bits_are_folded_in_all_dialects() -> None:
    for path, body in ((CHAT, {"options": {"seed": 2**32 + 7}}), (V1_CHAT, {"seed": 2**32 + 7})):
        assert [each.options.seed for each in await asked(path, body | {"messages": MESSAGES})] == [7]


async def test_a_schema_where_llama_server_has_it() -> None:
    (request,) = await asked(V1_CHAT, {"messages": MESSAGES, "json_schema": {"type": "object"}})
    assert request.constraint == wire.Constraint(kind="json_schema", source='{"type":"object"}')


async def test_each_choice_has_the_next_seed() -> None:
    service = ScriptedService()
    async with serving(service) as client:
        body = {"model": "tiny", "messages": MESSAGES, "n": 3, "seed": 2**32 - 1}
        await client.post(V1_CHAT, json=body)
        await client.post(V1_TEXT, json={"model": "tiny", "prompt": "a", "n": 2})
    assert [request.options.seed for request in service.requests] == [2**32 - 1, 0, 1, None, None]


MANY = [{"role": "user", "content": "Hi"}] * (2**14 + 1)
HUGE = b'{"model": "tiny", "prompt": ' + b"1" * 10**5 + b"}"


# Path, body (over a model name and no streaming), what the message says.
BAD: list[tuple[str, bytes | dict[str, Any], str]] = [
    (GENERATE, b"", "missing request body"),
    (GENERATE, b"null", "the body must be a JSON object"),
    (GENERATE, b"{", "invalid JSON"),
    (GENERATE, b'{"model": "tiny"} x', "invalid JSON"),
    (GENERATE, b"[1]", "the body must be a JSON object"),
    (GENERATE, b'"tiny"', "the body must be a JSON object"),
    (GENERATE, b"[" * 10**5, "limit of 201 levels"),
    (GENERATE, b'{"model": ' + b'{"a":' * 10**5, "invalid JSON"),
    (GENERATE, b'{"model": "\xff"}', "invalid JSON"),
    (GENERATE, b'{"model": "\\ud800"}', "invalid JSON"),
    (GENERATE, HUGE, "invalid JSON"),
    *((path, {"messages": MANY}, "at most 16384") for path in (CHAT, V1_CHAT, OURS)),
    (V1_CHAT, b"{", "invalid JSON"),
    (OURS, b"{", "invalid JSON"),
    (OURS, b'{"model": "tiny", "keep_alive_s": NaN}', "keep_alive_s: "),
    ("/nybble/quantize", {"name": "tiny", "budget_bytes": 10**400}, "budget_bytes: "),
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
    (GENERATE, {"options": {"mirostat": 7}}, "options.mirostat: "),
    (GENERATE, {"options": {"logit_bias": {"x": 1}}}, "options.logit_bias: 'x' is not the number of a token"),
    (GENERATE, {"options": {"logit_bias": {"-1": 1}}}, "options.logit_bias: '-1' is not"),
    (GENERATE, {"options": {"logit_bias": {"9" * 5000: 1}}}, "is not the number of a token"),
    (GENERATE, {"options": {"logit_bias": {"5": 101}}}, "options.logit_bias[5]: "),
    (GENERATE, {"options": {"logit_bias": {str(token): 1 for token in range(5000)}}}, "at most 1024"),
    (GENERATE, {"options": {"dry_sequence_breakers": ["x"] * 65}}, "options.dry_sequence_breakers: "),
    (GENERATE, {"options": {"overflow": "forget"}}, "options.overflow: "),
    (GENERATE, {"format": "yaml"}, 'format: "json" or a JSON Schema'),
    (GENERATE, {"format": ["json"]}, "format: a JSON Schema is needed"),
    (GENERATE, {"top_logprobs": 21}, "top_logprobs: 21 is not in the limits of 0 to 20"),
    (GENERATE, {"top_logprobs": -1}, "top_logprobs: -1 is not in the limits of 0 to 20"),
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
    (CHAT, {"think": "high"}, '"tiny" does not support thinking'),
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
    (
        V1_CHAT,
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        '"tiny" does not support images',
    ),
    (V1_CHAT, {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "no audio"),
    (V1_CHAT, {"messages": MESSAGES, "n": 17}, "n: 17 is not in the limits of 1 to 16"),
    (V1_CHAT, {"messages": MESSAGES, "n": 0}, "n: 0 is not in the limits of 1 to 16"),
    (V1_CHAT, {"messages": MESSAGES, "top_logprobs": 2}, "top_logprobs: needs logprobs"),
    (V1_CHAT, {"messages": MESSAGES, "logprobs": True, "top_logprobs": 21}, "limits of 0 to 20"),
    (V1_CHAT, {"messages": MESSAGES, "logit_bias": {"5": "much"}}, "logit_bias[5]: "),
    (V1_CHAT, {"messages": MESSAGES, "truncation": "yes"}, "truncation: "),
    (V1_CHAT, {"messages": MESSAGES, "response_format": {"type": "xml"}}, "response_format.type: "),
    (V1_CHAT, {"messages": MESSAGES, "response_format": {"type": "json_schema"}}, "json_schema.schema: "),
    (
        V1_CHAT,
        {"messages": MESSAGES, "response_format": {"type": "json_schema", "json_schema": {"schema": 5}}},
        "response_format.json_schema.schema: a JSON Schema is needed",
    ),
    (V1_TEXT, {"prompt": "a", "grammar": "x", "guided_regex": "y"}, "grammar: only one constraint"),
    (V1_TEXT, {"prompt": "a", "structured_outputs": {"json": "x"}}, "structured_outputs.json: a JSON Schema"),
    (V1_TEXT, {"prompt": "a", "logprobs": True}, "logprobs: "),
    (V1_CHAT, {"messages": MESSAGES, "tools": [{}]}, "`tools`"),
    (V1_CHAT, {"messages": MESSAGES, "reasoning_effort": "high"}, "`reasoning_effort`"),
    (V1_CHAT, {"messages": MESSAGES, "modalities": ["audio"]}, "`modalities`"),
    (V1_CHAT, {"messages": MESSAGES, "max_tokens": -5}, "max_tokens: "),
    (V1_CHAT, {"messages": MESSAGES, "max_completion_tokens": -5}, "max_completion_tokens: "),
    (V1_CHAT, {"messages": MESSAGES, "seed": 2**64}, "seed: "),
    (V1_CHAT, {"messages": MESSAGES, "structured_outputs": {"choice": []}}, "structured_outputs.choice: "),
    (V1_CHAT, {"messages": MESSAGES, "guided_regex": ""}, "guided_regex: "),
    (V1_CHAT, {"messages": MESSAGES, "json_schema": 3}, "json_schema: "),
    (V1_CHAT, {"messages": MESSAGES, "temperature": 1e308}, "temperature: "),
    (V1_CHAT, {"messages": MESSAGES, "stop": {}}, "stop: "),
    (V1_CHAT, {"messages": MESSAGES, "stream_options": []}, "stream_options: "),
    (V1_TEXT, {"prompt": []}, "prompt: "),
    (V1_TEXT, {"prompt": ["a", ""]}, "prompt: "),
    (V1_TEXT, {"prompt": ["a"] * 33}, "prompt: "),
    (V1_TEXT, {"prompt": [1, 2, 3]}, "prompt: "),
    (V1_TEXT, {"prompt": ""}, "prompt: "),
    (V1_TEXT, {}, "prompt: "),
    (V1_TEXT, {"prompt": "a", "echo": True}, "`echo`"),
    (V1_TEXT, {"prompt": "a", "n": 2, "best_of": 1}, "best_of: 1 is not in the limits of 2 to 16"),
    (V1_TEXT, {"prompt": "a", "best_of": 3, "stream": True}, "best_of: "),
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


async def test_what_is_wrong_with_a_constraint_names_the_field_that_holds_it() -> None:
    service = ScriptedService([InvalidConstraint("unknown keyword")])
    async with serving(service) as client:
        for path, body, field in [
            (GENERATE, {"format": SCHEMA}, "format"),
            (V1_TEXT, {"prompt": "a", "guided_regex": "("}, "guided_regex"),
            (V1_TEXT, {"prompt": "a", "response_format": {"type": "json_object"}}, "response_format"),
        ]:
            answer = await client.post(path, json={"model": "tiny"} | body)
            assert answer.status_code == 400
            assert message(path, answer.json()["error"]) == f"{field}: unknown keyword"
        assert answer.json()["error"]["code"] == "invalid_constraint"


async def test_a_bug_is_a_500_that_tells_nothing_of_the_inside() -> None:
    async with serving(ScriptedService([ZeroDivisionError("a secret of the code")])) as client:
        for path in (GENERATE, V1_TEXT, OURS):
            answer = await client.post(path, json={"model": "tiny", "prompt": "Hi"})
            assert answer.status_code == 500
            assert "nybble logs" in answer.text
            assert "secret" not in answer.text


async def test_unknown_routes_and_methods() -> None:
    meant = {
        "/chat/completions": "/v1/chat/completions is there",
        "/v1/v1/messages": "/v1/messages is there",
        "/v1/api/chat": "/api/chat is there",
        "//v1/models": "/v1/models is there",
        "/v1/responses": "Ask /v1/chat/completions",
    }
    async with serving(ScriptedService()) as client:
        push = await client.post("/api/push", json={})
        files = await client.get("/v1/files")
        method = await client.get("/api/chat")
        for path, hint in meant.items():
            answer = (await client.post(f"{client.base_url}{path}", json={})).json()["error"]
            # In the words of the client that meant it: others show nothing of it.
            assert f"Not Found. {hint}" in (answer if "/api" in path else answer["message"])
    assert (push.status_code, push.json()) == (404, {"error": "POST /api/push: Not Found"})
    assert (files.status_code, files.json()["error"]["code"]) == (404, "no_such_route")
    assert (method.status_code, method.headers["allow"]) == (405, "POST")
