"""Embedding and scoring, on tiny models in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gguf import PoolingType
from numpy.typing import NDArray

from native.embedding import EmbeddingContext
from native.llama import Model
from runner import wire
from runner.embeddings import _parts
from runner.protocol import MAX_LINE_BYTES, Embed, Embedded, Failed, encode
from runner.worker.embedding import Embedder
from runner.worker.inputs import Inputs
from tests.encoder_gguf import Shape, write_encoder

TEXTS = tuple(f"{'word ' * n}number {n}" for n in (0, 1, 3, 9, 2, 5))
"""Of 8 to 51 tokens for the tiny encoder, for which each letter is one."""
LONG = "The list command shows all files. " * 100
"""More tokens for a language model than it decodes at a time, and fewer than its context."""


@contextmanager
def loaded(path: Path, context_length: int = 64, sequences: int = 8) -> Iterator[EmbeddingContext]:
    model = Model(path, 0)
    context = EmbeddingContext(model, context_length, sequences, 1, 1)
    yield context
    context.close()
    model.close()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingContext]:
    path = tmp_path_factory.mktemp("encoder") / "encoder.gguf"
    with loaded(write_encoder(path, Shape(context_length=1024)), 1024) as context:
        yield context


@pytest.fixture(scope="module")
def decoder(tiny_model: Path) -> Iterator[EmbeddingContext]:
    """A model that generates, read at the last token."""
    with loaded(tiny_model, 1024) as context:
        yield context


@pytest.fixture(scope="module")
def ranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingContext]:
    path = tmp_path_factory.mktemp("ranker") / "ranker.gguf"
    with loaded(write_encoder(path, Shape(pooling=PoolingType.RANK))) as context:
        yield context


def run(context: EmbeddingContext, *requests: Embed) -> dict[str, Embedded | Failed]:
    """How each request ended, from stepping until idle."""
    embedder = Embedder(context)
    for request in requests:
        embedder.submit(request)
    ends: dict[str, Embedded | Failed] = {}
    while not embedder.is_idle:
        step = embedder.step()
        for end in (*step.embedded, *step.failed):
            assert end.request_id not in ends, "a request ended twice"
            ends[end.request_id] = end
    return ends


def embedded(context: EmbeddingContext, request: Embed) -> Embedded:
    end = run(context, request)[request.request_id]
    assert isinstance(end, Embedded), end
    return end


def failed(context: EmbeddingContext, request: Embed) -> Failed:
    end = run(context, request)[request.request_id]
    assert isinstance(end, Failed), end
    return end


def vectors(end: Embedded) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(vector, "<f4") for vector in end.vectors])


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_many_together_are_what_each_is_alone(kind: str, request: pytest.FixtureRequest) -> None:
    context = request.getfixturevalue(kind)
    long = "lorem ipsum dolor " * 40
    texts = (*TEXTS, long, *TEXTS, long + "sit", "")
    together = embedded(context, Embed("all", texts))
    alone = [embedded(context, Embed("one", (text,))) for text in texts]
    assert together.token_counts == tuple(end.token_counts[0] for end in alone)
    assert max(together.token_counts) > context.packed_tokens // 2
    np.testing.assert_allclose(vectors(together), np.concatenate([vectors(end) for end in alone]), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(vectors(together), axis=1), 1, rtol=1e-5)
    assert np.linalg.norm(vectors(together)[0] - vectors(together)[1]) > 0.01


def test_a_long_text_of_a_language_model_is_read_in_parts(decoder: EmbeddingContext) -> None:
    request = Embed("long", (LONG,))
    embedder = Embedder(decoder)
    embedder.submit(request)
    assert not embedder.step().embedded
    assert embedder.step().embedded
    # In other parts: the first texts of the batch take some of its room.
    mixed = vectors(embedded(decoder, Embed("mixed", (*TEXTS, LONG))))[-1]
    assert decoder.can_split
    np.testing.assert_allclose(mixed, vectors(embedded(decoder, request))[0], atol=2e-3)


def test_two_requests_share_a_decode_and_a_short_one_does_not_wait(encoder: EmbeddingContext) -> None:
    embedder = Embedder(encoder)
    embedder.submit(Embed("many", TEXTS * 20))
    embedder.submit(Embed("one", ("a question",)))
    first = embedder.step()
    assert [end.request_id for end in first.embedded] == ["one"]
    assert first.waiting == 1
    embedder.submit(Embed("two", ("another",)))
    embedder.submit(Embed("three", ("question",)))
    assert [end.request_id for end in embedder.step().embedded] == ["two", "three"]


def test_pooling_is_the_file_s(tmp_path: Path) -> None:
    """The mean over the two tokens around an empty text is half of the first and half of the last."""
    raw = {}
    for pooling in (PoolingType.MEAN, PoolingType.CLS, PoolingType.LAST):
        path = write_encoder(tmp_path / f"{pooling.name}.gguf", Shape(pooling=pooling))
        with loaded(path) as context:
            context.batch.clear()
            context.batch.add(0, 0, Inputs(context.model).single("").cut(2) or [], 2)
            context.decode()
            raw[pooling] = np.frombuffer(context.vector(0), "<f4")
    assert np.abs(raw[PoolingType.CLS] - raw[PoolingType.LAST]).max() > 0.1
    half = (raw[PoolingType.CLS] + raw[PoolingType.LAST]) / 2
    np.testing.assert_allclose(raw[PoolingType.MEAN], half, atol=1e-4)


def test_a_text_beyond_the_context_is_cut_and_reported(encoder: EmbeddingContext) -> None:
    end = embedded(encoder, Embed("cut", ("abc", "abcdefgh", "ab"), context_length=5))
    assert (end.token_counts, end.truncated) == ((5, 5, 4), (1,))
    np.testing.assert_allclose(vectors(end)[0], vectors(end)[1], atol=1e-5)


def test_a_text_beyond_the_context_is_refused_with_the_numbers(encoder: EmbeddingContext) -> None:
    end = failed(encoder, Embed("no", ("ab", "abcdefgh"), truncate=False, context_length=5, first=128))
    assert (end.code, end.status) == ("context_length_exceeded", 400)
    assert (end.prompt_tokens, end.context_length) == (10, 5)
    assert (
        end.message == "the input length exceeds the context length: input 129 has 10 tokens, the context 5"
    )
    whole = failed(encoder, Embed("no", ("x" * 2000,), truncate=False))
    assert ["num_ctx" in str(each.hint) for each in (end, whole)] == [True, False]
    nothing_left = failed(encoder, Embed("no", ("ab",), context_length=2))
    assert nothing_left.message.startswith("input after truncation exceeds maximum context length")


def test_dimensions_are_the_first_of_them_at_length_1(encoder: EmbeddingContext) -> None:
    whole = vectors(embedded(encoder, Embed("whole", TEXTS)))
    part = vectors(embedded(encoder, Embed("part", TEXTS, dimensions=8)))
    np.testing.assert_allclose(
        part, whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True), atol=1e-5
    )
    assert "33" in (message := failed(encoder, Embed("no", TEXTS, dimensions=33)).message) and "32" in message


def test_cancel_ends_a_request_where_it_stands(decoder: EmbeddingContext) -> None:
    embedder = Embedder(decoder)
    for name in ("split", "waiting", "next"):
        embedder.submit(Embed(name, (LONG,)))
    embedder.step()
    embedder.cancel("split")
    embedder.cancel("waiting")
    embedder.cancel("never was")
    ends: list[Embedded | Failed] = []
    while not embedder.is_idle:
        step = embedder.step()
        ends += [*step.failed, *step.embedded]
    assert [end.request_id for end in ends] == ["split", "waiting", "next"]
    assert isinstance(ends[0], Failed) and ends[0].code == "cancelled"
    assert isinstance(ends[2], Embedded)
    np.testing.assert_allclose(
        vectors(ends[2]), vectors(embedded(decoder, Embed("alone", (LONG,)))), atol=2e-3
    )


def test_what_is_finished_together_is_told_in_lines_that_may_be_so_long(tmp_path: Path) -> None:
    """16 MiB of numbers, in 128 requests that end with the same step."""
    path = write_encoder(tmp_path / "wide.gguf", Shape(layers=1, width=256, context_length=512))
    with loaded(path, 512, 128) as context:
        embedder = Embedder(context)
        for number in range(128):
            embedder.submit(Embed(str(number), ("",) * 128))
        steps = []
        while not embedder.is_idle:
            steps.append(embedder.step())
    assert max(len(encode(step)) for step in steps) <= MAX_LINE_BYTES
    ends = [end.request_id for step in steps for end in step.embedded]
    assert sorted(ends) == sorted(str(number) for number in range(128))


def test_what_a_worker_gets_at_once_is_bounded_by_what_it_reads_and_by_what_it_answers() -> None:
    """The query is read with each document."""
    request = wire.EmbedRequest(model="m", inputs=["a"] * 300, query="q" * 2**18)
    assert [len(part.inputs) for part in _parts(request, "r", 32)] == [3] * 100
    plain = wire.EmbedRequest(model="m", inputs=["a"] * 300)
    assert [len(part.inputs) for part in _parts(plain, "r", 32)] == [128, 128, 44]
    assert {len(part.inputs) for part in _parts(plain, "r", 2**16)} == {32, 12}


def test_documents_are_scored_as_answers(ranker: EmbeddingContext) -> None:
    together = embedded(ranker, Embed("all", TEXTS, query="which?"))
    alone = [embedded(ranker, Embed("one", (text,), query="which?")) for text in TEXTS]
    other = embedded(ranker, Embed("other", TEXTS, query="how many?"))
    assert vectors(together).shape == (len(TEXTS), 1)
    np.testing.assert_allclose(vectors(together), [vectors(end)[0] for end in alone], atol=2e-3)
    assert np.abs(vectors(together) - vectors(other)).max() > 1e-3
    # [CLS] and two [SEP] around "a", "?" and the document: that alone is cut.
    assert embedded(ranker, Embed("whole", ("bcdefg",), query="a?")).token_counts == (11,)
    cut = embedded(ranker, Embed("cut", ("bcdefg",), query="a?", context_length=8))
    assert (cut.token_counts, cut.truncated) == ((8,), (0,))


def test_a_rerank_template_is_filled_and_texts_cannot_forge_its_control_tokens(tmp_path: Path) -> None:
    shape = Shape(pooling=PoolingType.RANK, rerank_template="[CLS]q:{query}[SEP]d:{document}[SEP]!")
    with loaded(write_encoder(tmp_path / "template.gguf", shape)) as context:
        model = context.model
        pair = Inputs(model).pair("{document}", "[SEP]")

        def spelled(tokens: list[int]) -> str:
            return "".join(model.token_text(token).removeprefix("\u2581") for token in tokens)

        assert spelled(pair.before) == "[CLS]q:{document}[SEP]"
        assert (spelled(pair.text), len(pair.text)) == ("d:[sep]", 7)
        assert spelled(pair.after) == "[SEP]!"
