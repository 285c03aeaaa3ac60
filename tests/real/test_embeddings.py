"""Embeddings of a real encoder against those that were published, and of a model that generates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import ollama
import openai
import pytest

from tests.daemons import Daemon

PUBLISHED = json.loads((Path(__file__).parents[1] / "data" / "all-minilm-vectors.json").read_text("utf-8"))


@pytest.fixture
def by_ollama(daemon: Daemon, minilm: Path) -> Iterator[ollama.Client]:
    daemon.add_model(minilm, "all-minilm")
    with ollama.Client(host=daemon.address) as client:
        yield client


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


def test_vectors_and_token_counts_are_the_published_ones(by_ollama: ollama.Client) -> None:
    inputs = PUBLISHED["inputs"]
    together = by_ollama.embed("all-minilm", inputs)
    assert together.prompt_eval_count == sum(PUBLISHED["prompt_tokens"])
    for text, count, vector, published in zip(
        inputs, PUBLISHED["prompt_tokens"], together.embeddings, PUBLISHED["vectors"], strict=True
    ):
        alone = by_ollama.embed("all-minilm", text)
        assert alone.prompt_eval_count == count
        assert cosine(vector, published) >= 0.999
        assert cosine(alone.embeddings[0], published) >= 0.999
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
        assert cosine(by_ollama.embeddings("all-minilm", text).embedding, published) >= 0.999
    # Two other questions are further apart than this.
    assert cosine(*PUBLISHED["vectors"]) < 0.9


def test_a_cut_text_is_its_beginning(by_ollama: ollama.Client) -> None:
    """As Ollama's own tests have it: three tokens leave one word between the special ones."""
    word = by_ollama.embed("all-minilm", "why").embeddings[0]
    cut = by_ollama.embed("all-minilm", "why is the sky blue?", options={"num_ctx": 3}).embeddings[0]
    assert cosine(word, cut) >= 0.999
    with pytest.raises(ollama.ResponseError, match="the input length exceeds the context length") as refused:
        by_ollama.embed("all-minilm", "why is the sky blue?", truncate=False, options={"num_ctx": 3})
    assert refused.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="input after truncation exceeds maximum context length"):
        by_ollama.embed("all-minilm", "why is the sky blue?", options={"num_ctx": 1})


def test_openai_gets_the_same_vectors(daemon: Daemon, by_ollama: ollama.Client) -> None:
    inputs = PUBLISHED["inputs"]
    with openai.OpenAI(base_url=f"{daemon.address}/v1", api_key="none", max_retries=0) as client:
        answer = client.embeddings.create(model="all-minilm", input=inputs)
    assert answer.usage.prompt_tokens == sum(PUBLISHED["prompt_tokens"])
    for each, published in zip(answer.data, PUBLISHED["vectors"], strict=True):
        assert cosine(each.embedding, published) >= 0.999


def test_a_model_that_generates_embeds(daemon: Daemon, smollm2: Path) -> None:
    """Read at its last token, it knows kitchens from computers well enough."""
    daemon.add_model(smollm2, "smollm2")
    texts = [
        "The cook fries onions in butter",
        "A chef is baking bread in the oven",
        "The processor waits for the memory bus",
        "Bread and butter. " * 300,
    ]
    with ollama.Client(host=daemon.address) as client:
        food, bread, chips, long = client.embed("smollm2", texts).embeddings
        alone = client.embed("smollm2", texts[3]).embeddings[0]
    assert cosine(food, bread) > cosine(food, chips)
    assert cosine(long, alone) >= 0.999
