"""How long answers stay together (Kaplan and Meier 1958), whether two models differ on the same questions
(McNemar 1947, exact), and other figures of independent prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runner.compare.clusters import Floats, resampled_weights, wilson
from runner.wire.compare import Estimate

_RESAMPLES = 400
_Z_95 = 1.96


@dataclass(frozen=True, slots=True)
class Span:
    """How many tokens a pair of answers was seen together; then they parted, or nobody looked any further."""

    tokens: int
    parted: bool


def median(spans: Sequence[Span]) -> Estimate:
    """After how many tokens half of the answers have parted; its interval by resampling prompts. Where more
    than half stay together there is no median, and where that happens in the interval no upper end."""
    if not spans:
        return Estimate(reason="no prompt was answered")
    lengths = np.array([span.tokens for span in spans], dtype=np.float64)
    parted = np.array([span.parted for span in spans])
    value = _median(lengths, parted, np.ones(len(spans)))
    if math.isinf(value):
        return Estimate(reason="more than half stay together as far as they go")
    if len(spans) == 1:
        return Estimate(value=value, reason="one prompt only: an error takes two")
    drawn = np.array([_median(lengths, parted, row) for row in resampled_weights(len(spans), _RESAMPLES)])
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    if math.isinf(high):
        return Estimate(
            value=value, low=float(low), reason="in some resamplings more than half stay together"
        )
    return Estimate(
        value=value, error=float(drawn[np.isfinite(drawn)].std()), low=float(low), high=float(high)
    )


def _median(lengths: Floats, parted: np.ndarray[tuple[int], np.dtype[np.bool_]], weights: Floats) -> float:
    """Infinite where the curve stays above one half."""
    together = 1.0
    for length in np.unique(lengths[parted]):
        at_risk = weights[lengths >= length].sum()
        if at_risk == 0:
            break
        together *= 1 - weights[parted & (lengths == length)].sum() / at_risk
        if together <= 0.5 + 1e-12:
            return float(length)
    return math.inf


def share_of_prompts(flags: Sequence[bool]) -> Estimate:
    """Each prompt counts once and for itself."""
    if not flags:
        return Estimate(reason="no prompt was answered")
    return wilson(sum(flags) / len(flags), len(flags), _Z_95)


def ratio_of_sums(numerators: Sequence[int], denominators: Sequence[int]) -> Estimate:
    """Σ / Σ over prompts, its interval by resampling prompts."""
    if not numerators or sum(denominators) == 0:
        return Estimate(reason="no prompt that both models finished")
    above, below = np.array(numerators, dtype=np.float64), np.array(denominators, dtype=np.float64)
    value = float(above.sum() / below.sum())
    if len(above) == 1:
        return Estimate(value=value, reason="one prompt only: an error takes two")
    weights = resampled_weights(len(above), _RESAMPLES)
    drawn = (weights * above).sum(axis=1) / (weights * below).sum(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(value=value, error=float(drawn.std()), low=float(low), high=float(high))


def discordant(one: Sequence[bool], other: Sequence[bool]) -> tuple[int, int]:
    """How many only `one` has right, and only `other`; both in the order of the questions."""
    pairs = list(zip(one, other, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


def p_value(lost: int, gained: int) -> float:
    """Two-sided: how often a fair coin that is tossed for each discordant answer is as lopsided as this."""
    tosses = lost + gained
    tail = sum(math.comb(tosses, heads) for heads in range(min(lost, gained) + 1))
    return min(1.0, math.ldexp(tail, 1 - tosses))
