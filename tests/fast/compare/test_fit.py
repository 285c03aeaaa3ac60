"""Choosing types for a size: the knapsack, costs from probes, and when a mixture is kept."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from modelstore.errors import UserError
from modelstore.gguf import read_header
from runner.compare.blocks import CandidateScores
from runner.compare.fit.allocation import Probe, Problem, file_bytes, label_of, sensitivities
from runner.compare.fit.knapsack import Option, allocate
from runner.compare.fit.matrices import Matrix, matrices
from runner.compare.fit.verdict import verdict


def test_the_knapsack_is_exact_on_small_problems() -> None:
    chance = random.Random(1)
    refused = 0
    for _ in range(150):
        items = [
            [Option(chance.randint(1, 60), chance.random()) for _ in range(chance.randint(1, 4))]
            for _ in range(chance.randint(1, 6))
        ]
        budget = chance.randint(5, 250)
        sums = [choice for choice in itertools.product(*items) if sum(each.size for each in choice) <= budget]
        best = min((sum(each.cost for each in choice) for choice in sums), default=None)
        found = allocate(items, budget)
        if best is None or found is None:
            assert (best, found) == (None, None)
            refused += 1
            continue
        chosen = [options[index] for options, index in zip(items, found, strict=True)]
        assert sum(each.size for each in chosen) <= budget
        assert sum(each.cost for each in chosen) == pytest.approx(best)
    assert refused > 10


def test_a_large_knapsack_fills_its_budget_and_is_close_to_the_bound() -> None:
    chance = random.Random(2)
    items = []
    for _ in range(200):
        weights, importance = chance.choice([4096, 16384, 65536]), chance.random()
        bits = (2.06, 2.6, 3.4, 4.25, 4.5, 5.5, 6.56, 8.5)
        items.append([Option(int(weights * each / 8), importance * 4**-each) for each in bits])
    budget = sum(max(option.size for option in options) for options in items) // 2
    found = allocate(items, budget)
    assert found is not None
    chosen = [options[index] for options, index in zip(items, found, strict=True)]
    assert 0.999 * budget < sum(each.size for each in chosen) <= budget
    # No choice can cost less than the best price per byte allows (weak duality), whatever the price.
    bound = max(
        sum(min(option.cost + price * option.size for option in options) for options in items)
        - price * budget
        for price in np.geomspace(1e-9, 1e-2, 200)
    )
    assert sum(each.cost for each in chosen) < bound * 1.01


def test_sensitivities_undo_what_the_probes_did() -> None:
    errors = {"a": {"Q3_K": 0.02}, "b": {"Q3_K": 0.01}, "c": {"Q3_K": 0.03}}
    probes = [Probe("ab", {"a": "Q3_K", "b": "Q3_K"}, 0.031), Probe("c", {"c": "Q3_K"}, 0.0005)]
    found = sensitivities(probes, floor=0.001, errors=errors)
    assert found["ab"] == pytest.approx(1.0)
    # Below the floor by noise: cheap, but not free.
    assert found["c"] == pytest.approx(0.05)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> list[Matrix]:
    with tiny_model.open("rb") as stream:
        header = read_header(stream, tiny_model.stat().st_size)
    kinds = {t.name: "Q4_K" if len(t.shape) > 1 else t.type for t in header.tensors}
    assert file_bytes(header, kinds) == pytest.approx(3_900_000, rel=0.1)
    return matrices(header, kinds, ("Q2_K", "Q4_K", "Q8_0"), parts=3)


def test_matrices_are_grouped_by_role_and_depth(tiny: list[Matrix]) -> None:
    assert len(tiny) == 43
    assert {each.types for each in tiny} == {("Q2_K", "Q4_K", "Q8_0")}
    groups = {each.name: each.group for each in tiny}
    assert groups["blk.0.attn_q.weight"] == groups["blk.1.attn_k.weight"] == "attention inputs 1/3"
    assert groups["blk.5.ffn_down.weight"] == "feed-forward output 3/3"
    assert len(set(groups.values())) == 5 * 3 + 1


def problem(tiny: list[Matrix], room_bytes: int) -> Problem:
    errors = {"Q2_K": 0.08, "Q4_K": 0.005, "Q8_0": 0.00003}
    seconds = {each.name: dict.fromkeys(errors, 1e-9 * each.tensor.weights) for each in tiny}
    for each in seconds.values():
        each["Q4_K"] *= 4  # slow here, as I-quants are on some processors
    return Problem(tiny, {each.name: errors for each in tiny}, room_bytes, seconds)


def test_speed_is_bought_with_quality_and_not_with_bytes(tiny: list[Matrix]) -> None:
    weights = sum(each.tensor.weights for each in tiny)
    posed = problem(tiny, int(weights * 4.6 / 8))
    free, fast = posed.best(), posed.best(most_s=2e-9 * weights)
    assert "Q4_K" in free.values() and posed.cost(fast) > posed.cost(free)
    for kinds in (free, fast):
        assert sum(each.size_bytes(kinds[each.name]) for each in tiny) <= posed.room_bytes
    assert sum(posed.seconds[name][kind] for name, kind in fast.items()) <= 2e-9 * weights
    assert label_of(tiny, dict.fromkeys(free, "Q4_K")) == "Q4_K_S"
    with pytest.raises(UserError, match="as fast as that"):
        posed.best(most_s=0.5e-9 * weights)
    with pytest.raises(UserError, match="not even the smallest"):
        problem(tiny, 1_000_000).best()


def scores(factor: float, seed: int = 1) -> list[CandidateScores]:
    chance = np.random.default_rng(seed)
    shared = np.random.default_rng(99).gamma(2.0, 0.01, (16, 100))
    return [
        CandidateScores(np.ones(100), factor * row * chance.uniform(0.9, 1.1, 100), np.ones(100, bool))
        for row in shared
    ]


def test_a_mixture_is_kept_only_if_it_is_surely_better_and_nowhere_worse() -> None:
    stock = {"same": scores(1.0), "other": scores(1.0)}
    better = verdict({"same": scores(0.8, 2), "other": scores(0.9, 3)}, stock)
    assert better.keeps_mixture and better.z["same"] > 3 and better.gain == pytest.approx(0.2, abs=0.02)
    assert not verdict({"same": scores(0.999, 2), "other": scores(0.9, 3)}, stock).keeps_mixture
    # Better on what it was calibrated with, worse on anything else: what calibration on one text does.
    flattered = verdict({"same": scores(0.8, 2), "other": scores(1.2, 3)}, stock)
    assert not flattered.keeps_mixture and flattered.z["other"] < -3
