"""Every sampler against the formula of its paper, on logits that a model computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest
from numpy.typing import NDArray

from native.llama import Context, ContextOptions, Model
from runner.protocol import Sampling
from runner.worker.refused import Refused
from runner.worker.sampling import build_chain
from tests.tiny_gguf import Shape, write_model

Probabilities = NDArray[np.float64]
DRAWS = 2000
PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3}


class Row:
    """One row of logits that chains can pick from again and again."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.context = Context(self.model, ContextOptions(128, 1, 128, 1, 1))
        self.prompt = self.model.tokenize("The list command shows", add_special=True)
        self.row = self.context.batch.add(0, 0, self.prompt, 1) - 1
        self.context.decode()
        self.logits = self.context.logits(self.row).astype(np.float64)

    def draws(self, sampling: Sampling, count: int = DRAWS, prompt: list[int] | None = None) -> list[int]:
        chain = build_chain(self.model, sampling, self.prompt if prompt is None else prompt)
        tokens = [chain.sample(self.context, self.row) for _ in range(count)]
        chain.close()
        return tokens


@pytest.fixture(scope="module")
def row(model: Model) -> Iterator[Row]:
    row = Row(model)
    yield row
    row.context.close()


@pytest.fixture(scope="module")
def short_row(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Row]:
    """As uneven as that of a trained model, but for 259 tokens: thousands of draws take no time, and more of
    its tokens are drawn often enough to be held against a formula."""
    path = write_model(tmp_path_factory.mktemp("short") / "wide.gguf", Shape(width=256), seed=2)
    with closing(Model(path, 0)) as model:
        row = Row(model)
        yield row
        row.context.close()


def scaled(values: Probabilities) -> Probabilities:
    sums_to_one: Probabilities = values / values.sum()
    return sums_to_one


def softmax(logits: Probabilities) -> Probabilities:
    return scaled(np.exp(logits - logits.max()))


def keep(probabilities: Probabilities, kept: NDArray[np.bool_]) -> Probabilities:
    return scaled(np.where(kept, probabilities, 0))


def nucleus(p: Probabilities, cost: Probabilities, most: float) -> Probabilities:
    """Tokens of the least cost, up to the first that brings their probability to `most`."""
    order = np.argsort(cost, kind="stable")
    count = int(np.searchsorted(np.cumsum(p[order]), most)) + 1
    kept = np.zeros(len(p), np.bool_)
    kept[order[:count]] = True
    return keep(p, kept)


def typical(p: Probabilities) -> Probabilities:
    surprise = -np.log(np.maximum(p, 1e-300))
    return nucleus(p, np.abs(surprise - (p * surprise).sum()), 0.4)


def without_the_top(p: Probabilities) -> Probabilities:
    above = p >= 0.05
    assert above.sum() > 1
    return keep(p, ~above | (p == p[above].min()))


FORMULAS: dict[str, tuple[dict[str, object], Callable[[Probabilities, Probabilities], Probabilities]]] = {
    "nothing": ({}, lambda logits, p: p),
    "temperature": ({"temperature": 0.5}, lambda logits, p: softmax(logits / 0.5)),
    "top-k": ({"top_k": 5}, lambda logits, p: keep(p, p >= np.sort(p)[-5])),
    "top-p": ({"top_p": 0.6}, lambda logits, p: nucleus(p, -p, 0.6)),
    "min-p": ({"min_p": 0.2}, lambda logits, p: keep(p, p >= 0.2 * p.max())),
    "typical": ({"typical_p": 0.4}, lambda logits, p: typical(p)),
    "top-n-sigma": (
        {"top_n_sigma": 2.0},
        lambda logits, p: keep(p, logits >= logits.max() - 2 * logits.std()),
    ),
    "xtc": ({"xtc_probability": 1.0, "xtc_threshold": 0.05}, lambda logits, p: without_the_top(p)),
    "half xtc": (
        {"xtc_probability": 0.5, "xtc_threshold": 0.05},
        lambda logits, p: 0.5 * p + 0.5 * without_the_top(p),
    ),
    "bias": (
        {"logit_bias": ((200, 5.0),)},
        lambda logits, p: softmax(logits + 5.0 * (np.arange(len(p)) == 200)),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_draws_follow_the_formula(short_row: Row, name: str) -> None:
    options, formula = FORMULAS[name]
    assert_draws_follow(formula(short_row.logits, softmax(short_row.logits)), short_row, options)


def test_forbidden_tokens_do_not_disturb_the_formula_of_typical(short_row: Row) -> None:
    """Their probability is 0, and its logarithm not a number to compute with."""
    allowed = np.ones(len(short_row.logits), np.bool_)
    allowed[short_row.model.end_tokens] = False
    expected = typical(keep(softmax(short_row.logits), allowed))
    assert_draws_follow(expected, short_row, {"typical_p": 0.4, "ignore_eos": True})


def assert_draws_follow(expected: Probabilities, row: Row, options: dict[str, object]) -> None:
    drawn = np.bincount(row.draws(Sampling(**PLAIN | options)), minlength=len(expected))  # type: ignore[arg-type]
    assert not drawn[expected == 0].any()
    error = np.abs(drawn - DRAWS * expected)
    assert (error <= 5 * np.sqrt(DRAWS * expected * (1 - expected)) + 5).all()
    assert drawn[expected.argmax()] > 0


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_surprises_as_much_as_asked(short_row: Row, version: int) -> None:
    surprise = -np.log2(softmax(short_row.logits))

    def mean(tau: float) -> float:
        tokens = short_row.draws(Sampling(temperature=1.0, seed=1, mirostat=version, mirostat_tau=tau), 600)
        return float(np.mean(surprise[tokens[200:]]))

    assert surprise.min() <= mean(0.5) < mean(3.0) - 0.5 < mean(5.0) - 1.0
    if version == 2:  # the first one estimates the slope of the distribution, and is off for large targets
        assert mean(50.0) == pytest.approx(float((2**-surprise * surprise).sum()), abs=0.5)


def test_dry_stops_repetitions_but_not_past_a_breaker(row: Row) -> None:
    first, second, third, repeated = (row.model.tokenize(text, add_special=False)[-1] for text in "abcd")
    prompt = [first, second, third, repeated, first, second, third]

    def picked(**options: object) -> int:
        sampling = Sampling(temperature=0, logit_bias=((repeated, 50.0),), **options)  # type: ignore[arg-type]
        return row.draws(sampling, 1, prompt)[0]

    assert picked() == repeated
    assert picked(dry_multiplier=100.0) != repeated
    assert picked(dry_multiplier=100.0, dry_allowed_length=4) == repeated
    assert picked(dry_multiplier=100.0, dry_penalty_last_n=3) == repeated
    assert picked(dry_multiplier=100.0, dry_sequence_breakers=(row.model.piece(third).decode(),)) == repeated


def test_penalties_count_the_prompt(row: Row) -> None:
    best = int(row.logits.argmax())
    for options in ({"presence_penalty": 100.0}, {"frequency_penalty": 100.0}, {"repeat_penalty": 100.0}):
        greedy = Sampling(temperature=0, **options)  # type: ignore[arg-type]
        assert row.draws(greedy, 1, [*row.prompt, best]) != [best]
        assert row.draws(greedy, 1, [best, *[row.prompt[-1]] * 64]) == [best]


def test_no_option_allocates_what_a_client_says(row: Row) -> None:
    most = 2**31 - 1
    sampling = Sampling(
        **PLAIN,  # type: ignore[arg-type]
        repeat_last_n=most,
        repeat_penalty=1.1,
        dry_multiplier=1.0,
        dry_penalty_last_n=most,
        dry_sequence_breakers=("", "x" * 64),
    )
    assert len(row.draws(sampling, 10)) == 10


@pytest.mark.parametrize(
    "options", [{}, {"typical_p": 0.5}, {"mirostat": 2}, {"mirostat": 1}, {"temperature": 0}]
)
def test_ignored_end_tokens_are_never_picked(short_row: Row, options: dict[str, object]) -> None:
    bias = tuple((token, 100.0) for token in short_row.model.end_tokens)
    wanted = Sampling(**PLAIN | {"logit_bias": bias})  # type: ignore[arg-type]
    ignored = Sampling(**PLAIN | {"logit_bias": bias, "ignore_eos": True} | options)  # type: ignore[arg-type]
    assert all(short_row.model.is_end(token) for token in short_row.draws(wanted, 10))
    assert not any(short_row.model.is_end(token) for token in short_row.draws(ignored, 300))


def test_a_bias_for_no_token_is_refused(row: Row) -> None:
    for token in (-1, row.model.vocabulary_size):
        with pytest.raises(Refused, match=f"logit_bias names token {token}, .* 0 to 8191"):
            build_chain(row.model, Sampling(logit_bias=((token, math.pi),)), row.prompt)
