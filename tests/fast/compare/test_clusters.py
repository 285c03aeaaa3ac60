"""Intervals hold what they promise, although tokens of one text resemble each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runner.compare.clusters import Clusters, mean, normal_of, quantiles, share, student_of
from runner.compare.quality import summarize
from runner.wire.compare import Estimate
from tests.fast.compare.synthetic import blocks, candidate, reference


@pytest.mark.parametrize(
    ("freedom", "t"), [(3, 3.182), (4, 2.776), (7, 2.365), (15, 2.131), (63, 1.998), (255, 1.969)]
)
def test_student_as_in_the_tables(freedom: int, t: float) -> None:
    assert student_of(1.959964, freedom) == pytest.approx(t, rel=0.012)
    assert normal_of(student_of(3.0, freedom), freedom) == pytest.approx(3.0)


def test_few_clusters_are_on_the_safe_side() -> None:
    assert student_of(1.959964, 1) > 12.7
    assert student_of(1.959964, 2) > 4.30


def test_cr1_by_hand() -> None:
    """Two clusters (1, 3) and (5, 5, 6): mean 4, residual sums -4 and 4, variance 2 · 32 / 25."""
    found = mean(np.array([1.0, 3.0, 5.0, 5.0, 6.0]), Clusters.of([2, 3]))
    assert found.value == pytest.approx(4.0)
    assert found.error == pytest.approx(math.sqrt(2 * 32 / 25))


def test_one_cluster_has_no_error_but_a_reason() -> None:
    clusters = Clusters.of([3])
    for found in (
        mean(np.ones(3), clusters),
        share(np.array([True, False, True]), clusters),
        *quantiles(np.ones(3), clusters, [0.5]),
    ):
        assert found.value is not None
        assert found.error is None
        assert found.reason


def test_a_share_of_nothing_is_not_certain() -> None:
    """Of 4,096 tokens in 16 texts, worth 512: Wilson's upper end is t² / (n + t²)."""
    found = share(np.zeros(4096, np.bool_), Clusters.of([256] * 16))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(2.131**2 / (512 + 2.131**2), rel=0.01)
    assert found.error


def test_the_mean_of_sixteen_texts_is_where_the_interval_says() -> None:
    """Known truth, 600 runs; errors of independent tokens would be far too small."""
    hits = naive_hits = 0
    for seed in range(600):
        draw = np.random.default_rng(seed)
        values = (1 + 0.5 * draw.normal(size=16)).repeat(64) + draw.normal(size=16 * 64)
        hits += _covers(mean(values, Clusters.of([64] * 16)), 1.0)
        naive_hits += abs(values.mean() - 1.0) <= 1.96 * values.std() / math.sqrt(len(values))
    assert 0.93 <= hits / 600 <= 0.97
    assert naive_hits / 600 < 0.5


def test_halves_of_a_deep_run_cover_its_values() -> None:
    """200 halves drawn anew from 256 texts: 95 % intervals hold the whole run's figure 90 to 98 times in
    100."""
    count, tokens = 256, 34
    scored = reference(count, tokens, seed=1)
    compared = candidate(scored, 0.03, seed=2)
    texts = blocks(count, tokens, domains=("prose",))
    deep, _ = summarize(texts, scored, compared)
    hits = dict.fromkeys(
        ("ppl", "kld_mean", "kld_p90", "kld_p99", "delta_p_rms", "same_top", "hard_flips"), 0
    )
    draw = np.random.default_rng(3)
    for _ in range(200):
        drawn = draw.integers(0, count, count // 2)
        half, _ = summarize(
            [texts[place] for place in drawn],
            [scored[place] for place in drawn],
            [compared[place] for place in drawn],
        )
        for name in hits:
            hits[name] += _covers(getattr(half, name), getattr(deep, name).value)
    assert all(0.90 <= found / 200 <= 0.98 for found in hits.values()), hits


def _covers(found: Estimate, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high
