"""Estimates from clustered tokens: errors that hold although tokens of one text resemble each other.

Tokens that were decoded together form a cluster; clusters are independent. Errors are cluster-robust with the
correction for few clusters (CR1, Liang and Zeger 1986), intervals Student's with one degree of freedom less
than clusters. Formulas: docs/compare.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.wire.compare import Estimate

Floats = NDArray[np.float64]

PLANNED_DESIGN_EFFECT = 8.0
"""Variance by clusters over variance of independent tokens, assumed where the data cannot tell."""

_TWO_SIDED_95 = 1.959964
_RESAMPLES = 200
_SEED = 20_240_229
_TOO_FEW = "one text only: an error takes two"


def student_of(z: float, freedom: int) -> float:
    """Student's t with the same tail probability as the normal `z` (Wallace 1959, inverted); on the safe side
    below three degrees of freedom."""
    scaled = z * (8 * freedom + 3) / (8 * freedom + 1)
    exponent = scaled * scaled / freedom
    return math.copysign(math.sqrt(freedom * math.expm1(min(exponent, 700.0))), z)


def normal_of(t: float, freedom: float) -> float:
    """The normal z with the same tail probability as Student's `t` (Wallace 1959): one scale for all
    sizes."""
    scale = (8 * freedom + 1) / (8 * freedom + 3)
    return math.copysign(scale * math.sqrt(freedom * math.log1p(t * t / freedom)), t)


def half_width(error: float, clusters: int) -> float:
    """Half a 95 % interval."""
    return student_of(_TWO_SIDED_95, clusters - 1) * error


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many tokens each cluster has, in the order of the values; none is empty."""

    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, sizes: Sequence[int]) -> Clusters:
        return cls(np.asarray(sizes, dtype=np.int64))

    @property
    def count(self) -> int:
        return len(self.sizes)

    @property
    def tokens(self) -> int:
        return int(self.sizes.sum())

    def sums(self, values: NDArray[np.generic]) -> Floats:
        """(tokens,) → sum for each cluster, (clusters,)."""
        if self.count == 0:
            return np.empty(0)
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        return np.add.reduceat(values.astype(np.float64), starts)


def ratio(numerators: Floats, denominators: Floats, least: float = -math.inf) -> Estimate:
    """Σ numerators / Σ denominators, both one a cluster; the interval does not go below `least`. A mean of
    tokens is the ratio of sums to sizes."""
    total = float(denominators.sum())
    if len(numerators) == 0 or total == 0:
        return Estimate(reason="nothing was scored")
    value = float(numerators.sum()) / total
    count = len(numerators)
    if count == 1:
        return Estimate(value=value, reason=_TOO_FEW)
    residuals = numerators - value * denominators
    error = math.sqrt(count / (count - 1) * float(np.square(residuals).sum())) / total
    half = half_width(error, count)
    return Estimate(value=value, error=error, low=max(least, value - half), high=value + half)


def mean(values: NDArray[np.generic], clusters: Clusters, least: float = -math.inf) -> Estimate:
    """Of tokens, each with the same weight."""
    return ratio(clusters.sums(values), clusters.sizes.astype(np.float64), least)


def mapped(estimate: Estimate, function: Callable[[float], float], slope: float) -> Estimate:
    """The estimate of `function` of a figure; `function` rises, `slope` is its slope at the value (delta
    method)."""
    if estimate.value is None:
        return estimate
    value, low, high = function(estimate.value), estimate.low, estimate.high
    if estimate.error is None or low is None or high is None:
        return Estimate(value=value, reason=estimate.reason)
    return Estimate(value=value, error=slope * estimate.error, low=function(low), high=function(high))


def share(flags: NDArray[np.bool_], clusters: Clusters) -> Estimate:
    """Share of tokens, with Wilson's interval on as many tokens as the clusters are worth (tokens by the
    design effect): never below 0 or above 1, and never of no width where nothing was seen."""
    plain = mean(flags, clusters)
    if plain.value is None or plain.error is None:
        return plain
    effective = _effective_tokens(plain.value, plain.error, clusters)
    return wilson(plain.value, effective, student_of(_TWO_SIDED_95, clusters.count - 1), plain.error)


def wilson(value: float, draws: float, z: float, error: float = 0.0) -> Estimate:
    """A share seen in `draws` independent ones, with Wilson's interval of `z` standard errors."""
    spread = z * z / draws
    middle = (value + spread / 2) / (1 + spread)
    half = z * math.sqrt(value * (1 - value) / draws + spread / (4 * draws)) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Estimate(value=value, error=error or half / z, low=min(low, value), high=max(high, value))


def _effective_tokens(value: float, error: float, clusters: Clusters) -> float:
    """Independent tokens that would have the same error: at most all, at least one a cluster."""
    naive = value * (1 - value)
    if error == 0 or naive == 0:
        return max(clusters.tokens / PLANNED_DESIGN_EFFECT, float(clusters.count))
    return min(max(naive / error**2, float(clusters.count)), float(clusters.tokens))


def quantiles(values: Floats, clusters: Clusters, levels: Sequence[float]) -> list[Estimate]:
    """Quantiles of tokens between order statistics, with errors by resampling whole clusters."""
    if not levels:
        return []
    points = np.quantile(values, levels)
    if clusters.count == 1:
        return [Estimate(value=float(point), reason=_TOO_FEW) for point in points]
    drawn = _resampled_quantiles(values, clusters, np.asarray(levels))
    return [
        _of_resamples(float(point), column, clusters.count)
        for point, column in zip(points, drawn.T, strict=True)
    ]


def _resampled_quantiles(values: Floats, clusters: Clusters, levels: Floats) -> Floats:
    """(resamples, levels): every token counts as often as its cluster was drawn."""
    order = np.argsort(values)
    ascending, cluster_of = values[order], np.repeat(np.arange(clusters.count), clusters.sizes)[order]
    drawn = []
    for weights in resampled_weights(clusters.count, _RESAMPLES):
        tokens_up_to = weights[cluster_of].cumsum()
        drawn.append(np.interp(levels * tokens_up_to[-1], tokens_up_to, ascending))
    return np.array(drawn)


def resampled_weights(count: int, resamples: int) -> Floats:
    """(resamples, count): how often each of `count` clusters is drawn; the same at every call."""
    generator = np.random.default_rng(_SEED)
    return generator.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)


def _of_resamples(value: float, drawn: Floats, clusters: int) -> Estimate:
    """On the logarithm where all are positive: such figures are skewed."""
    # Resampling G clusters has the variance of G - 1.
    few = math.sqrt(clusters / (clusters - 1))
    error = few * float(drawn.std())
    if value > 0 and drawn.min() > 0:
        factor = math.exp(half_width(few * float(np.log(drawn).std()), clusters))
        return Estimate(value=value, error=error, low=value / factor, high=value * factor)
    half = half_width(error, clusters)
    return Estimate(value=value, error=error, low=value - half, high=value + half)
