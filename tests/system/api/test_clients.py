"""The official clients against a real daemon with real models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import ollama
import openai
import pytest

from tests.daemons import Daemon
from tests.system.api.conftest import TEMPLATE

SAME = {"seed": 7, "temperature": 0.0, "num_predict": 12}
MESSAGES = [{"role": "user", "content": "List all files"}]


@pytest.fixture
def by_ollama(served: Daemon) -> Iterator[ollama.Client]:
    with ollama.Client(host=served.address) as client:
        yield client


@pytest.fixture
def by_openai(served: Daemon) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_ollama_lists_and_shows(by_ollama: ollama.Client) -> None:
    models = {model.model: model for model in by_ollama.list().models}
    assert models.keys() == {"tiny:latest", "tiny-chat:latest"}
    tiny = models["tiny:latest"]
    assert tiny.digest == "c94180a617b49a129fbce75dd7ba0bdda2411c440d5fac6c4caee9cd1d3a60e5"
    assert (tiny.size, tiny.modified_at is not None) == (13_925_056, True)
    assert tiny.details and tiny.details.model_dump() == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "6.82M",
        "quantization_level": "F16",
    }
    shown = by_ollama.show("TINY-CHAT")
    assert (shown.template, shown.license, shown.capabilities) == (TEMPLATE, "apache-2.0", ["completion"])
    assert shown.modelinfo and shown.modelinfo["llama.context_length"] == 1024
    assert shown.details == tiny.details


def test_small_answers_are_not_held_back(served: Daemon) -> None:
    """A socket that waits for acknowledgements between small writes makes each request 40 ms longer."""
    times_s = []
    with httpx.Client(base_url=served.address, trust_env=False) as client:
        for _ in range(21):
            started_s = time.perf_counter()
            client.get("/api/version")
            times_s.append(time.perf_counter() - started_s)
    assert min(times_s) < 0.03


def test_ollama_generates(by_ollama: ollama.Client) -> None:
    whole = by_ollama.generate("tiny", "The list of", options=SAME)
    pieces = list(by_ollama.generate("tiny", "The list of", options=SAME, stream=True))
    assert whole.response and "".join(piece.response or "" for piece in pieces) == whole.response
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    last = pieces[-1]
    assert (last.done_reason, last.eval_count) == ("length", 12)
    assert last.total_duration and last.eval_duration and last.prompt_eval_count
    assert last.total_duration >= last.eval_duration > 1000


def test_ollama_chats(by_ollama: ollama.Client) -> None:
    whole = by_ollama.chat("tiny-chat", MESSAGES, options=SAME)
    pieces = list(by_ollama.chat("tiny-chat", MESSAGES, options=SAME, stream=True))
    assert whole.message.role == "assistant"
    assert whole.message.content
    assert "".join(piece.message.content or "" for piece in pieces) == whole.message.content
    # <|user|> List all files <|end|> <|assistant|>: the template's tokens are tokens, and it was used.
    assert (
        whole.prompt_eval_count
        == by_ollama.generate(
            "tiny", "<|user|>List all files<|end|><|assistant|>", options=SAME | {"num_predict": 1}, raw=True
        ).prompt_eval_count
    )


async def test_ollama_chats_asynchronously(served: Daemon) -> None:
    async with ollama.AsyncClient(host=served.address) as client:
        stream = await client.chat("tiny-chat", MESSAGES, options=SAME, stream=True)
        pieces = [piece async for piece in stream]
    assert pieces[-1].done and pieces[-1].done_reason == "length"


def test_ollama_loads_and_unloads(by_ollama: ollama.Client) -> None:
    assert by_ollama.chat("tiny-chat", []).done_reason == "load"
    (loaded,) = [model for model in by_ollama.ps().models if model.name == "tiny-chat:latest"]
    assert loaded.size and loaded.expires_at and loaded.context_length == 1024
    assert by_ollama.generate("tiny-chat", keep_alive=0).done_reason == "unload"
    while "tiny-chat:latest" in [model.name for model in by_ollama.ps().models]:
        pass


def test_ollama_copies_and_deletes(by_ollama: ollama.Client) -> None:
    assert by_ollama.copy("tiny", "other").status == "success"
    assert "other:latest" in [model.model for model in by_ollama.list().models]
    assert by_ollama.delete("other").status == "success"
    assert "other:latest" not in [model.model for model in by_ollama.list().models]


def test_ollama_reads_our_errors(by_ollama: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=r"model 'tina' not found.*tiny") as missing:
        list(by_ollama.chat("tina", MESSAGES, stream=True))
    assert missing.value.status_code == 404
    for call in (by_ollama.show, by_ollama.delete):
        with pytest.raises(ollama.ResponseError, match="model 'tina' not found"):
            call("tina")
    with pytest.raises(ollama.ResponseError, match="has no chat template") as mute:
        by_ollama.chat("tiny", MESSAGES)
    assert mute.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="1024") as long:
        by_ollama.generate("tiny", "word " * 3000)
    assert long.value.status_code == 400
    with pytest.raises(ollama.ResponseError):
        list(by_ollama.pull("hf.co/nobody/nothing:Q4_K_M", stream=True))


def test_openai_lists(by_openai: openai.OpenAI) -> None:
    assert {model.id for model in by_openai.models.list()} >= {"tiny:latest", "tiny-chat:latest"}
    assert by_openai.models.retrieve("tiny").id == "tiny:latest"
    with pytest.raises(openai.NotFoundError) as missing:
        by_openai.models.retrieve("hf.co/some/one")
    assert missing.value.code == "model_not_found"


def test_openai_chats(by_openai: openai.OpenAI) -> None:
    def ask(**more: object) -> object:
        return by_openai.chat.completions.create(
            model="tiny-chat", messages=MESSAGES, temperature=0, seed=7, max_completion_tokens=12, **more
        )

    whole = ask()
    assert (whole.choices[0].finish_reason, whole.choices[0].message.role) == ("length", "assistant")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + 12
    *chunks, last = ask(stream=True, stream_options={"include_usage": True})
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "length"]
    assert (last.choices, last.usage.total_tokens) == ([], whole.usage.total_tokens)


def test_openai_completes(by_openai: openai.OpenAI, by_ollama: ollama.Client) -> None:
    whole = by_openai.completions.create(model="tiny", prompt="The list of", temperature=0, max_tokens=12)
    raw = by_ollama.generate("tiny", "The list of", raw=True, options=SAME)
    assert whole.choices[0].text == raw.response
    chunks = list(
        by_openai.completions.create(model="tiny", prompt="The list of", temperature=0, stream=True)
    )
    assert len("".join(chunk.choices[0].text for chunk in chunks)) > len(whole.choices[0].text)
    stopped = by_openai.completions.create(
        model="tiny", prompt="The list of", temperature=0, max_tokens=12, stop=whole.choices[0].text[4:9]
    )
    assert (stopped.choices[0].text, stopped.choices[0].finish_reason) == (whole.choices[0].text[:4], "stop")


def test_openai_reads_our_errors(by_openai: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="model 'tina' not found"):
        by_openai.chat.completions.create(model="tina", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as refused:
        by_openai.chat.completions.create(model="tiny-chat", messages=MESSAGES, n=17)
    assert (refused.value.param, refused.value.code) == ("n", "invalid_request")
    with pytest.raises(openai.BadRequestError) as mute:
        by_openai.chat.completions.create(model="tiny", messages=MESSAGES)
    assert mute.value.code == "no_chat_template"


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["n"],
    # So small a model may go on with properties of its own until its tokens are used up.
    "additionalProperties": False,
}


def test_ollama_asks_for_a_schema(by_ollama: ollama.Client) -> None:
    options = SAME | {"num_predict": 200}
    for answer in (
        by_ollama.generate("tiny", "n:", format=SCHEMA, options=options).response,
        by_ollama.chat("tiny-chat", MESSAGES, format=SCHEMA, options=options).message.content,
    ):
        assert json.loads(answer)["n"] <= 99
    # Whether this model ever ends an object of its own is the processor's luck; that it begins one is not.
    assert by_ollama.generate("tiny", "x", format="json", options=options).response.startswith("{")
    with pytest.raises(ollama.ResponseError, match=r"^format: ") as refused:
        list(by_ollama.chat("tiny-chat", MESSAGES, format={"type": "objekt"}, stream=True))
    assert refused.value.status_code == 400


def test_openai_asks_for_a_schema(by_openai: openai.OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}}
    create = by_openai.chat.completions.create
    whole = create(model="tiny-chat", messages=MESSAGES, response_format=form, max_tokens=200)
    assert json.loads(whole.choices[0].message.content)["n"] <= 99
    text = by_openai.completions.create(model="tiny", prompt="x", extra_body={"guided_regex": "(ab){3}c"})
    assert (text.choices[0].text, text.choices[0].finish_reason) == ("abababc", "stop")
    one = {"structured_outputs": {"choice": ['say "yes"', "nö"]}}
    several = by_openai.completions.create(model="tiny", prompt=["x", "The list of"], n=2, extra_body=one)
    assert len(several.choices) == 4
    assert {choice.text for choice in several.choices} <= {'say "yes"', "nö"}
    bad = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "objekt"}}}
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="tiny-chat", messages=MESSAGES, response_format=bad)
    assert (refused.value.param, refused.value.code) == ("response_format", "invalid_constraint")


def test_ollama_reads_logprobs(by_ollama: ollama.Client) -> None:
    whole = by_ollama.generate("tiny", "The list of", options=SAME, logprobs=True, top_logprobs=3)
    assert whole.logprobs and len(whole.logprobs) == 12
    assert "".join(token.token for token in whole.logprobs) == whole.response
    for token in whole.logprobs:
        best = [each.logprob for each in token.top_logprobs or ()]
        assert (len(best), best) == (3, sorted(best, reverse=True))
        # Greedy: the chosen one is the best.
        assert token.logprob == best[0] <= 0
    pieces = by_ollama.generate("tiny", "The list of", options=SAME, logprobs=True, stream=True)
    assert [token.token for piece in pieces for token in piece.logprobs or ()] == [
        token.token for token in whole.logprobs
    ]


def test_openai_reads_logprobs(by_openai: openai.OpenAI) -> None:
    chat = by_openai.chat.completions.create(
        model="tiny-chat", messages=MESSAGES, temperature=0, max_tokens=8, logprobs=True, top_logprobs=2
    )
    content = chat.choices[0].logprobs and chat.choices[0].logprobs.content
    assert content and len(content) == 8
    said = b"".join(bytes(token.bytes or ()) for token in content)
    assert said.decode("utf-8", "replace") == chat.choices[0].message.content
    text = by_openai.completions.create(
        model="tiny", prompt="The list of", temperature=0, max_tokens=8, logprobs=2
    )
    logprobs = text.choices[0].logprobs
    assert logprobs and "".join(logprobs.tokens or ()) == text.choices[0].text
    for token, at, top in zip(logprobs.tokens, logprobs.text_offset, logprobs.top_logprobs, strict=True):
        assert text.choices[0].text[at:].startswith(token)
        assert token in top


def test_openai_asks_for_several_choices(by_openai: openai.OpenAI) -> None:
    def ask(**more: object) -> object:
        return by_openai.completions.create(
            model="tiny", prompt="The list of", max_tokens=12, temperature=1, **more
        )

    whole = ask(n=3, seed=5)
    texts = [choice.text for choice in whole.choices]
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert texts[1] == ask(seed=6).choices[0].text
    assert whole.usage.completion_tokens == 36
    streamed = ["", "", ""]
    *chunks, last = ask(n=3, seed=5, stream=True, stream_options={"include_usage": True})
    for chunk in chunks:
        streamed[chunk.choices[0].index] += chunk.choices[0].text
    assert streamed == texts
    assert last.usage.completion_tokens == 36


def test_openai_asks_for_the_best_of_several(by_openai: openai.OpenAI) -> None:
    def ask(**more: object) -> object:
        return by_openai.completions.create(
            model="tiny", prompt="The list of", max_tokens=12, temperature=1, seed=5, **more
        )

    written = ask(n=4, logprobs=0).choices
    likeliest = sorted(written, key=lambda choice: -sum(choice.logprobs.token_logprobs))
    best = ask(best_of=4)
    assert [(choice.index, choice.text) for choice in best.choices] == [(0, likeliest[0].text)]
    assert best.choices[0].logprobs is None
    assert best.usage.completion_tokens == 48
    two = ask(n=2, best_of=4, logprobs=0).choices
    assert {choice.text for choice in two} == {choice.text for choice in likeliest[:2]}
    assert [len(choice.logprobs.tokens) for choice in two] == [12, 12]


def test_logit_bias_and_ignore_eos(by_openai: openai.OpenAI, by_ollama: ollama.Client) -> None:
    whole = by_ollama.generate("tiny", "The list of", options=SAME, logprobs=True, top_logprobs=1)
    chosen = by_openai.completions.create(
        model="tiny", prompt="The list of", temperature=0, max_tokens=4, logit_bias={"9": 100}, logprobs=0
    )
    tokens = chosen.choices[0].logprobs.tokens
    assert len(set(tokens)) == 1 and tokens[0] != whole.logprobs[0].token
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        by_openai.completions.create(model="tiny", prompt="a", logit_bias={"999999": 1})


def test_a_conversation_longer_than_the_context(served: Daemon, by_openai: openai.OpenAI) -> None:
    """In each dialect: refused, or shortened, and then it is said."""
    turns = [{"role": role, "content": "word " * 100} for _ in range(9) for role in ("user", "assistant")]
    messages = [{"role": "system", "content": "Be brief."}, *turns, *MESSAGES]
    ask = {"model": "tiny-chat", "messages": messages, "stream": False}
    with httpx.Client(base_url=served.address, trust_env=False, timeout=60) as client:
        refused = client.post("/api/chat", json=ask | {"truncate": False})
        assert refused.status_code == 400 and "1024" in refused.text
        short = client.post("/api/chat", json=ask | {"options": {"num_predict": 8, "overflow": "truncate"}})
        dropped = short.json()["dropped_messages"]
        assert 0 < dropped < len(turns) and dropped % 2 == 0
    create = by_openai.chat.completions.create
    with pytest.raises(openai.BadRequestError) as long:
        create(model="tiny-chat", messages=messages, extra_body={"truncation": "disabled"})
    assert long.value.code == "context_length_exceeded"
    *_, last = create(
        model="tiny-chat", messages=messages, max_tokens=8, stream=True, extra_body={"truncation": "auto"}
    )
    assert last.choices[0].finish_reason and last.usage.dropped_messages == dropped
