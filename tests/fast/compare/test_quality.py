"""Figures of quality, against values known beforehand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from runner.compare.blocks import TEMPERATURES, Block, CandidateScores, ReferenceScores
from runner.compare.passages import Passages
from runner.compare.quality import NO_KLD, summarize, summarize_alone
from runner.compare.scoreboard import Score, Scoreboard
from runner.compare.tiers import tier
from runner.wire.compare import Estimate, Quality
from tests.fast.compare.synthetic import blocks, candidate, reference


def test_by_hand() -> None:
    """Two blocks of two tokens: p = 1/2, 1/4, 1/2, 1/8 and q = 1/4, 1/4, 1/2, 1/2."""
    texts = [Block(0, "prose", (1, 2, 3), 1, 6), Block(1, "prose", (1, 2, 3), 1, 4)]
    ours = [_said((1, 2), (0.05, 0.3)), _said((1, 3), (0.7, 2.0))]
    theirs = [_saw((2, 2), (0.1, 0.2), (False, True)), _saw((1, 1), (0.3, 0.4), (False, False))]
    quality, _ = summarize(texts, ours, theirs)
    assert quality.ppl.value == pytest.approx(2 ** ((2 + 2 + 1 + 1) / 4))
    assert quality.ln_ratio.value == pytest.approx((1 + 0 + 0 - 2) / 4 * math.log(2))
    assert quality.bits_per_byte.value == pytest.approx(6 / 10)
    assert quality.kld_mean.value == pytest.approx(0.25)
    assert quality.kld_median.value == pytest.approx(0.25)
    assert quality.delta_p_mean.value == pytest.approx((-0.25 + 0.375) / 4)
    assert quality.delta_p_rms.value == pytest.approx(math.sqrt((0.25**2 + 0.375**2) / 4))
    assert quality.same_top.value == pytest.approx(0.25)
    flips = quality.flips
    assert [flips.tie.value, flips.soft.value, flips.firm.value, flips.hard.value] == [0.25, 0.0, 0.25, 0.25]
    assert quality.hard_flips == flips.hard


def test_every_figure_has_an_error_or_a_reason() -> None:
    for count, tokens in ((0, 0), (1, 50), (16, 60), (16, 256), (80, 256)):
        scored = reference(count, tokens, seed=count)
        quality, kinds = summarize(blocks(count, tokens), scored, candidate(scored, 0.03, seed=9))
        for found in (quality, *kinds.values()):
            for estimate in _estimates(found.model_dump()):
                has_interval = None not in (estimate["error"], estimate["low"], estimate["high"])
                assert has_interval or estimate["reason"], estimate
        assert (quality.kld_p99.value is not None) == (count * tokens >= 4_000)
        assert (quality.kld_p999.value is not None) == (count * tokens >= 20_000)


def test_the_reference_itself_is_exactly_itself() -> None:
    scored = reference(16, 256, seed=1)
    same = [
        CandidateScores(each.nll, np.zeros(len(each.nll)), np.ones(len(each.nll), np.bool_))
        for each in scored
    ]
    quality, kinds = summarize(blocks(16, 256), scored, same)
    for figure in (quality.kld_mean, quality.kld_p99, quality.ln_ratio, quality.delta_p_rms):
        assert (figure.value, figure.error, figure.low, figure.high) == (0.0, 0.0, 0.0, 0.0)
    assert quality.temperature.value == 1.0
    assert quality.tier == "practically the original"
    assert not any(kind.is_worse for kind in kinds.values())


@pytest.mark.parametrize("temperature", [1.005, 1.03, 1.12, 1.4])
def test_temperature_that_disturbs_as_much(temperature: float) -> None:
    scored = reference(16, 400, seed=1)
    compared = candidate(scored, (temperature - 1) ** 2 / 2, seed=2)
    found = summarize(blocks(16, 400), scored, compared)[0].temperature
    assert found.low is not None
    assert found.high is not None
    assert found.low <= temperature <= found.high
    assert found.high - found.low < 0.6 * (temperature - 1)


def test_a_broken_candidate_is_beyond_all_temperatures() -> None:
    scored = reference(16, 100, seed=1)
    quality, _ = summarize(blocks(16, 100), scored, candidate(scored, 2.0, seed=2))
    assert quality.temperature.value is None
    assert quality.temperature.reason
    assert quality.tier == "broken"


def test_only_kinds_of_text_that_are_surely_worse_are_named() -> None:
    scored = reference(64, 100, seed=4)
    _, kinds = summarize(blocks(64, 100), scored, candidate(scored, 0.03, 5, harder=(1.0, 1.0, 2.0, 1.0)))
    assert [name for name, kind in kinds.items() if kind.is_worse] == ["math"]


def test_text_that_no_model_wrote_accuses_no_kind() -> None:
    """It is scored beside the answers, and easier for candidates: beside it every answer would be worse."""
    passages = Passages("answers", blocks(64, 100), blocks(16, 100, ("fixed",)))
    scored = reference(80, 100, seed=4)
    both = [*candidate(scored[:64], 0.03, 5, spread=0.1), *candidate(scored[64:], 0.005, 5)]
    indices = [each.index for each in passages.blocks]
    board = Scoreboard(passages, 0.0)
    board.enter("Q4", dict(zip(indices, map(Score, scored, both), strict=True)))
    found = board.quality("Q4")
    assert found is not None
    assert not any(kind.is_worse for kind in found[1].values())
    assert found[1]["fixed"].kld_mean.value == pytest.approx(0.005, rel=0.5)


def test_two_texts_of_a_kind_hardly_ever_accuse_it() -> None:
    """Of 400 kinds of text that are like the others."""
    scored = reference(8, 30, seed=4)
    alarms = 0
    for seed in range(100):
        _, kinds = summarize(blocks(8, 30), scored, candidate(scored, 0.03, seed))
        alarms += sum(kind.is_worse for kind in kinds.values())
    assert alarms <= 3


def test_another_vocabulary_is_refused_kl_divergence() -> None:
    quality = summarize_alone(blocks(16, 50), reference(16, 50, seed=1))
    assert (quality.kld_mean.value, quality.kld_mean.reason) == (None, NO_KLD)
    assert quality.bits_per_byte.error
    assert quality.tier is None
    assert Quality.model_validate_json(quality.model_dump_json()) == quality


@pytest.mark.parametrize(
    ("kld", "high", "p99", "hard", "expected"),
    [
        (0.004, 0.005, None, 0.0, "practically the original"),
        (0.004, 0.007, None, 0.0, "excellent"),
        (0.004, 0.005, 0.7, 0.0, "noticeable"),
        (0.004, 0.005, None, 0.03, "damaged"),
        (0.31, 0.33, None, 0.0, "broken"),
    ],
)
def test_tiers_by_the_worst_sign(
    kld: float, high: float, p99: float | None, hard: float, expected: str
) -> None:
    assert tier(Estimate(value=kld, high=high), Estimate(value=p99), Estimate(value=hard)) == expected


def _said(bits: tuple[float, ...], margin: tuple[float, ...]) -> ReferenceScores:
    lead = np.array(margin, np.float32)
    return ReferenceScores(np.array(bits) * math.log(2), lead, lead, np.zeros(len(TEMPERATURES)) + 1)


def _saw(bits: tuple[float, ...], kld: tuple[float, ...], same: tuple[bool, ...]) -> CandidateScores:
    return CandidateScores(np.array(bits) * math.log(2), np.array(kld), np.array(same))


def _estimates(found: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [value for value in found.values() if isinstance(value, dict)]
    return ([found] if "reason" in found else []) + [each for value in inner for each in _estimates(value)]
