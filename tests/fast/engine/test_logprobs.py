"""Log probabilities against numpy, and through the engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from native.llama import Context, ContextOptions, Model
from runner.protocol import Generate, Sampling, TokenLogprob
from runner.worker.engine import Engine
from runner.worker.logprobs import logprob

PROMPT = "The list command shows"


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    context = Context(model, ContextOptions(128, 1, 128, 1, 1))
    yield context
    context.close()


def generate(context: Context, top: int | None, **options: object) -> tuple[str, list[TokenLogprob]]:
    engine = Engine(context, 0.0)
    sampling = Sampling(max_tokens=12, **options)  # type: ignore[arg-type]
    engine.submit(Generate("one", (PROMPT,), sampling, top_logprobs=top))
    text, found = "", list[TokenLogprob]()
    while not engine.is_idle:
        for delta in engine.step().deltas:
            text += delta.text
            found += delta.logprobs
    return text, found


def test_they_are_the_logarithm_of_the_softmax(model: Model) -> None:
    logits = np.random.default_rng(1).normal(0, 5, model.vocabulary_size).astype(np.float32)
    result = logprob(model, logits, 77, len(logits))
    p = np.exp(logits.astype(np.float64))
    expected = np.log(p / p.sum())
    assert result.logprob == pytest.approx(expected[77], abs=1e-9)
    assert [each.logprob for each in result.top] == pytest.approx(np.sort(expected)[::-1], abs=1e-9)
    assert sum(np.exp(each.logprob) for each in result.top) == pytest.approx(1, abs=1e-9)


def test_control_tokens_have_their_spelling(model: Model) -> None:
    result = logprob(model, np.zeros(model.vocabulary_size, np.float32), model.eos_token, 0)
    assert result.text == result.data.decode() == model.token_text(model.eos_token) != ""


def test_each_token_is_reported_with_those_it_was_picked_over(context: Context, model: Model) -> None:
    text, found = generate(context, 5, temperature=0)
    assert b"".join(each.data for each in found).decode() == text
    assert len(found) == 12
    for each in found:
        assert len(each.top) == 5
        assert (each.top[0].token, each.top[0].logprob) == (each.token, each.logprob)
        assert sorted((top.logprob for top in each.top), reverse=True) == [top.logprob for top in each.top]
        assert all(top.data.decode("utf-8", "replace") == top.text for top in each.top)


def test_samplers_do_not_change_them(context: Context) -> None:
    """Bias and temperature pick the token; the number is the model's own."""
    plain = generate(context, 3, temperature=0)[1][0]
    biased = generate(context, 3, temperature=0, logit_bias=((300, 100.0),))[1][0]
    assert biased.token == 300
    assert biased.top == plain.top
    assert biased.logprob < plain.logprob


def test_nothing_is_reported_that_was_not_asked_for(context: Context) -> None:
    assert generate(context, None, temperature=0)[1] == []
    assert {each.top for each in generate(context, 0, temperature=0)[1]} == {()}
