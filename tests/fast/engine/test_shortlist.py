import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from native import sampler
from native.llama import Context, ContextOptions, Model
from native.sampler import SamplerChain
from native.shortlist import shortlist


@given(st.integers(0, 2**32 - 1), st.integers(1, 20_000), st.integers(0, 200), st.integers(1, 60))
def test_the_shortlist_holds_the_most_likely(seed: int, size: int, count: int, distinct: int) -> None:
    """Few distinct values make ties, also at the border."""
    logits = np.random.default_rng(seed).integers(0, distinct, size).astype(np.float32)
    found = shortlist(logits, count)
    assert (logits[found["id"]] == found["logit"]).all()
    assert len(set(found["id"].tolist())) == len(found)
    if count:
        least = np.sort(logits)[-min(count, size)]
        assert set(np.flatnonzero(logits > least).tolist()) <= set(found["id"].tolist())
        assert sorted(found["logit"])[-min(count, size) :] == sorted(logits)[-min(count, size) :]


def test_a_shortlist_is_short() -> None:
    logits = np.random.default_rng(1).normal(size=262_144).astype(np.float32)
    assert 40 <= len(shortlist(logits, 40)) < 400


def test_forbidden_tokens_are_listed_only_if_nothing_else_is_left() -> None:
    logits = np.full(65_536, -np.inf, np.float32)
    logits[[7, 40_000]] = 1.0, 2.0
    found = shortlist(logits, 2)
    assert set(found["id"].tolist()) == {7, 40_000}
    assert shortlist(logits, 1)["id"].tolist() == [40_000]


@pytest.mark.parametrize("size", [1, 63, 64, 65, 4096])
def test_small_vocabularies_are_listed_whole_or_right(size: int) -> None:
    logits = np.arange(size, dtype=np.float32)
    assert shortlist(logits, 40)["id"][-1] == size - 1


def test_the_same_tokens_are_picked_with_and_without(model: Model) -> None:
    context = Context(model, ContextOptions(128, 1, 64, 1, 1))
    row = context.batch.add(0, 0, model.tokenize("The list command", add_special=True), outputs=1) - 1
    context.decode()

    def picks() -> list[int]:
        chains = [_chain(model, seed, likely) for seed in range(60)]
        tokens = [chain.sample(context, row) for chain in chains]
        for chain in chains:
            chain.close()
        return tokens

    likely = [int(token) for token in np.argsort(context.logits(row))[-3:]]
    by_shortlist = picks()
    sampler._shortlist = None
    by_llama_cpp = picks()
    assert by_shortlist == by_llama_cpp
    assert len(set(by_llama_cpp)) > 10
    context.close()


def _chain(model: Model, seed: int, likely: list[int]) -> SamplerChain:
    """Some are greedy; some first change what is most likely, with penalties or biases of both signs."""
    chain = SamplerChain(model)
    if seed % 4 == 1:
        chain.bias([(token, -math.inf) for token in likely])
    elif seed % 4 == 2:
        chain.bias([(likely[0], -2.0), (model.eos_token, 9.0)])
    elif seed % 4 == 3:
        chain.penalties(64, 1.8, 0.5, 0.5)
        for token in likely:
            chain.accept(token)
    if seed % 5 == 0:
        chain.greedy()
        return chain
    chain.top_k(40)
    chain.top_p(0.95)
    chain.temperature(1.5)
    chain.draw(seed)
    return chain
