"""Embedding and reranking through a real daemon, in every dialect."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import ollama
import openai
import psutil
import pytest
from gguf import PoolingType

from runner import wire
from runner.errors import RemoteError
from tests.daemons import Daemon
from tests.encoder_gguf import Shape, write_encoder

TEXTS = ["a question", "an answer", "another answer, which is longer"]
SOON_S = 10


@pytest.fixture(scope="module")
def daemon(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """`encoder` and `ranker`, and `tiny`, which generates."""
    folder = tmp_path_factory.mktemp("embedding")
    with Daemon(folder / "home") as running:
        running.add_model(
            write_encoder(folder / "encoder.gguf", Shape(layers=4, context_length=512)), "encoder"
        )
        running.add_model(write_encoder(folder / "ranker.gguf", Shape(pooling=PoolingType.RANK)), "ranker")
        running.add_model(tiny_model, "tiny")
        yield running


@pytest.fixture
def http(daemon: Daemon) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=daemon.address, trust_env=False, timeout=60) as client:
        yield client


def test_ollama(daemon: Daemon) -> None:
    with ollama.Client(host=daemon.address) as client:
        whole = client.embed("encoder", TEXTS)
        alone = [client.embed("encoder", text) for text in TEXTS]
        legacy = client.embeddings("encoder", TEXTS[0])
        empty = client.embed("encoder", [])
        short = client.embed("encoder", TEXTS, dimensions=4)
        assert client.show("encoder").capabilities == ["embedding"]
    assert (
        whole.prompt_eval_count
        == sum(each.prompt_eval_count or 0 for each in alone)
        == 9 + 2 + 8 + 2 + 27 + 2
    )
    assert whole.total_duration and whole.load_duration is not None
    for vector, each in zip(whole.embeddings, alone, strict=True):
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
        assert vector == pytest.approx(each.embeddings[0], abs=2e-3)
    assert legacy.embedding == pytest.approx(whole.embeddings[0], abs=2e-3)
    assert empty.embeddings == []
    assert [math.hypot(*vector) for vector in short.embeddings] == pytest.approx([1, 1, 1], abs=1e-5)


def test_ollama_cuts_to_num_ctx_and_says_so_or_refuses(http: httpx.Client) -> None:
    body = {"model": "encoder", "input": ["abc", "abcdef"], "options": {"num_ctx": 5}}
    cut = http.post("/api/embed", json=body).json()
    assert (cut["truncated"], cut["prompt_eval_count"]) == ([1], 10)
    assert cut["embeddings"][1] == pytest.approx(cut["embeddings"][0], abs=1e-4)
    assert "truncated" not in http.post("/api/embed", json=body | {"options": {}}).json()
    legacy = http.post("/api/embeddings", json=body | {"prompt": "abcdef"}).json()
    assert legacy["truncated"] == [0] and legacy["embedding"] == pytest.approx(cut["embeddings"][1], abs=1e-4)
    assert http.post("/api/embed", json=body | {"input": None}).json()["embeddings"] == []
    refused = http.post("/api/embed", json=body | {"truncate": False})
    assert refused.status_code == 400
    sentence = "the input length exceeds the context length: input 1 has 8 tokens, the context 5"
    assert sentence in refused.json()["error"]


def test_openai(daemon: Daemon) -> None:
    with openai.OpenAI(base_url=f"{daemon.address}/v1", api_key="none", max_retries=0) as client:
        # Without a format the client asks for base64.
        packed = client.embeddings.create(model="encoder", input=TEXTS)
        floats = client.embeddings.create(model="encoder", input=TEXTS, encoding_format="float")
        short = client.embeddings.create(model="encoder", input=TEXTS[0], dimensions=4)
        with pytest.raises(
            openai.BadRequestError, match=r"encoder.*512|600 tokens, the context 512"
        ) as too_long:
            client.embeddings.create(model="encoder", input="x" * 598)
        with pytest.raises(openai.BadRequestError, match="arrays of tokens"):
            client.embeddings.create(model="encoder", input=[[1, 2]])
        with pytest.raises(openai.BadRequestError, match="dimensions: 33 were asked for"):
            client.embeddings.create(model="encoder", input="a", dimensions=33)
    assert too_long.value.code == "context_length_exceeded"
    assert [each.index for each in packed.data] == [0, 1, 2]
    for one, other in zip(packed.data, floats.data, strict=True):
        assert one.embedding == other.embedding
    assert packed.usage.total_tokens == packed.usage.prompt_tokens == 9 + 2 + 8 + 2 + 27 + 2
    assert len(short.data[0].embedding) == 4


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_rerank(http: httpx.Client, path: str) -> None:
    documents = ["a", {"text": "bb"}, "ccc", "d" * 100]
    body = {"model": "ranker", "query": "which?", "documents": documents}
    ranking = http.post(path, json=body).json()
    scores = [each["relevance_score"] for each in ranking["results"]]
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 4
    assert sorted(each["index"] for each in ranking["results"]) == [0, 1, 2, 3]
    assert ranking["truncated"] == [3]
    best = http.post(path, json=body | {"top_n": 2, "return_documents": True}).json()["results"]
    assert [each["index"] for each in best] == [each["index"] for each in ranking["results"][:2]]
    texts = ["a", "bb", "ccc", "d" * 100]
    assert [each["document"]["text"] for each in best] == [texts[each["index"]] for each in best]
    refused = http.post(path, json=body | {"model": "encoder"})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "wrong_purpose"


def test_models_are_not_used_for_what_they_cannot_do(http: httpx.Client) -> None:
    for path, body in {
        "/api/embed": {"model": "ranker", "input": "a"},
        "/api/generate": {"model": "encoder", "prompt": "a"},
        "/api/chat": {"model": "encoder", "messages": [{"role": "user", "content": "a"}]},
    }.items():
        refused = http.post(path, json=body)
        assert (refused.status_code, "does not support" in refused.json()["error"]) == (400, True)
    too_long = http.post("/api/embed", json={"model": "encoder", "input": ["a", "b" * (2**20 + 1)]})
    assert (too_long.status_code, "1048576" in too_long.json()["error"]) == (400, True)
    too_many = http.post("/api/embed", json={"model": "encoder", "input": ["a"] * 4097})
    assert (too_many.status_code, "4096" in too_many.json()["error"]) == (400, True)


async def test_more_inputs_than_one_command_takes_keep_their_order(daemon: Daemon) -> None:
    texts = [f"text {number % 7}" for number in range(300)] + ["z" * 600]
    async with daemon.client() as client:
        many = await client.embed(wire.EmbedRequest(model="encoder", inputs=texts))
        few = await client.embed(wire.EmbedRequest(model="encoder", inputs=texts[:7]))
        with pytest.raises(RemoteError, match="input 300 has 602 tokens, the context 512"):
            await client.embed(wire.EmbedRequest(model="encoder", inputs=texts, truncate=False))
    assert len(many.vectors) == 301
    assert many.truncated == [300]
    for number, vector in enumerate(many.vectors[:300]):
        assert vector == pytest.approx(few.vectors[number % 7], abs=2e-3)


async def test_a_model_generates_and_embeds_at_once(daemon: Daemon) -> None:
    options = wire.Options(temperature=1, seed=1, max_tokens=200, ignore_eos=True)
    async with daemon.client() as client:
        generation = client.generate(wire.GenerateRequest(model="tiny", prompt="The", options=options))
        async for event in generation:
            if isinstance(event, wire.TextDelta):
                break
        vectors = (await client.embed(wire.EmbedRequest(model="tiny", inputs=TEXTS))).vectors
        assert [event async for event in generation][-1].type == "done"
        assert [math.hypot(*vector) for vector in vectors] == pytest.approx([1, 1, 1], abs=1e-5)
        variants = [each.variant for each in await client.loaded() if each.name == "tiny:latest"]
        assert (len(variants), variants[-1]) == (2, "embedding")


async def test_a_request_ends_once_with_its_client_or_its_worker(daemon: Daemon) -> None:
    """First the client leaves, then the worker dies."""
    slow = wire.EmbedRequest(model="encoder", inputs=["x" * 500] * 4096)
    async with daemon.client() as client:
        await client.embed(wire.EmbedRequest(model="encoder", inputs=["a"]))

        async def worker() -> wire.LoadedModel:
            return next(each for each in await client.loaded() if each.name == "encoder:latest")

        async def until_working(*, working: bool) -> wire.LoadedModel:
            started_s = time.monotonic()
            while bool((loaded := await worker()).waiting or loaded.busy_slots) is not working:
                assert time.monotonic() - started_s < (60 if working else SOON_S)
            return loaded

        leaving = asyncio.create_task(client.embed(slow))
        await until_working(working=True)
        leaving.cancel()
        await until_working(working=False)

        dying = asyncio.create_task(client.embed(slow))
        pid = (await until_working(working=True)).pid
        assert pid and psutil.pid_exists(pid)
        os.kill(pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        with pytest.raises(RemoteError) as failure:
            await dying
        assert failure.value.code == "worker_crashed"
        again = await client.embed(wire.EmbedRequest(model="encoder", inputs=["a"]))
    assert len(again.vectors) == 1
