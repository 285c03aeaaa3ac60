"""A candidate's quality against the reference, from what both said of the same tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.compare.block import TEMPERATURES, Block, CandidateScores, ReferenceScores
from runner.compare.clusters import Clusters, Floats, half_width, mapped, mean, quantiles, ratio, share
from runner.compare.domains import Measured, domains
from runner.compare.spread import blank
from runner.compare.tiers import tier
from runner.wire.compare import DomainQuality, Estimate, Flips, Quality

MARGINS = (0.1, 0.5, 1.0)
"""Of the reference's lead in nats: below the first a flip is a tie, then soft, firm, above the last hard."""

LEAST_TOKENS = {0.5: 1, 0.9: 1, 0.99: 4_000, 0.999: 20_000}
"""That a percentile takes: those of the tail rest on twenty to forty tokens beyond them, or are not given."""

NO_KLD = (
    "KL divergence compares probabilities of the same tokens, and these models have different vocabularies: "
    "compare bits per byte"
)


@dataclass(frozen=True, slots=True)
class _Reference:
    """What the reference said, all blocks end to end; `kld_at` is (blocks, temperatures)."""

    clusters: Clusters
    bytes: Floats
    nll: Floats
    margin: NDArray[np.float32]
    kld_at: Floats


def summarize(
    blocks: Sequence[Block], reference: Sequence[ReferenceScores], candidate: Sequence[CandidateScores]
) -> tuple[Quality, dict[str, DomainQuality]]:
    """Quality in all, and by kind of text. The three are in the same order, one entry a block."""
    ours, theirs = _reference(blocks, reference), end_to_end(candidate)
    hard = ~theirs.same_top & (ours.margin > MARGINS[-1])
    measured = Measured([block.domain for block in blocks], ours.clusters, theirs.kld, theirs.same_top, hard)
    return _quality(ours, theirs, hard), domains(measured)


def summarize_alone(blocks: Sequence[Block], reference: Sequence[ReferenceScores]) -> Quality:
    """Of a model that cannot be compared by tokens, for it has another vocabulary than the others: perplexity
    of its own tokens and bits per byte; everything else is refused."""
    ours = _reference(blocks, reference)
    return blank(
        Quality,
        NO_KLD,
        tokens=ours.clusters.tokens,
        clusters=ours.clusters.count,
        ppl=perplexity(ours.nll, ours.clusters),
        bits_per_byte=_bits_per_byte(ours.nll, ours),
        flips=blank(Flips, NO_KLD),
    )


def _reference(blocks: Sequence[Block], scores: Sequence[ReferenceScores]) -> _Reference:
    return _Reference(
        clusters=Clusters.of([len(each.nll) for each in scores]),
        bytes=np.array([block.scored_bytes for block in blocks], dtype=np.float64),
        nll=np.concatenate([np.empty(0), *(each.nll for each in scores)]),
        margin=np.concatenate([np.empty(0, np.float32), *(each.margin for each in scores)]),
        kld_at=np.array([each.kld_at for each in scores]).reshape(len(scores), len(TEMPERATURES)),
    )


def end_to_end(scores: Sequence[CandidateScores]) -> CandidateScores:
    """All blocks as one."""
    return CandidateScores(
        nll=np.concatenate([np.empty(0), *(each.nll for each in scores)]),
        kld=np.concatenate([np.empty(0), *(each.kld for each in scores)]),
        same_top=np.concatenate([np.empty(0, np.bool_), *(each.same_top for each in scores)]),
    )


def _quality(ours: _Reference, theirs: CandidateScores, hard: NDArray[np.bool_]) -> Quality:
    clusters = ours.clusters
    delta_p = np.exp(-theirs.nll) - np.exp(-ours.nll)
    kld_mean = mean(theirs.kld, clusters, least=0.0)
    median, p90, p99, p999 = _percentiles(theirs.kld, clusters)
    hard_flips = share(hard, clusters)
    return Quality(
        tokens=clusters.tokens,
        clusters=clusters.count,
        ppl=perplexity(theirs.nll, clusters),
        ln_ratio=mean(theirs.nll - ours.nll, clusters),
        kld_mean=kld_mean,
        kld_median=median,
        kld_p90=p90,
        kld_p99=p99,
        kld_p999=p999,
        delta_p_mean=mean(delta_p, clusters),
        delta_p_rms=root_mean_square(delta_p, clusters),
        same_top=share(theirs.same_top, clusters),
        flips=_flips(ours.margin, theirs.same_top, clusters),
        hard_flips=hard_flips,
        temperature=_temperature(theirs.kld, ours),
        bits_per_byte=_bits_per_byte(theirs.nll, ours),
        tier=tier(kld_mean, p99, hard_flips),
    )


def perplexity(nll: Floats, clusters: Clusters) -> Estimate:
    logarithm = mean(nll, clusters)
    return mapped(logarithm, _exp, _exp(logarithm.value or 0.0))


def _exp(value: float) -> float:
    """Within what a float holds: the interval of a broken model may leave it."""
    return math.exp(min(value, 700.0))


def _bits_per_byte(nll: Floats, ours: _Reference) -> Estimate:
    return ratio(ours.clusters.sums(nll) / math.log(2), ours.bytes, least=0.0)


def text_bits(blocks: Sequence[Block], nll: Sequence[Floats]) -> list[float]:
    """Bits per byte of each block: pairs models of different vocabularies, if both were asked the same."""
    return [
        float(each.sum()) / math.log(2) / block.scored_bytes for block, each in zip(blocks, nll, strict=True)
    ]


def root_mean_square(values: Floats, clusters: Clusters) -> Estimate:
    squares = mean(values**2, clusters, least=0.0)
    root = math.sqrt(squares.value or 0.0)
    return mapped(squares, math.sqrt, 1 / (2 * root) if root else 0.0)


def _percentiles(kld: Floats, clusters: Clusters) -> list[Estimate]:
    """Of LEAST_TOKENS, in its order; those of the tail only where enough tokens carry them."""
    enough = [level for level, least in LEAST_TOKENS.items() if clusters.tokens >= least]
    missing = list(LEAST_TOKENS.items())[len(enough) :]
    return quantiles(kld, clusters, enough) + [
        Estimate(reason=f"takes {least:,} tokens, {clusters.tokens:,} were scored") for _, least in missing
    ]


def _flips(margin: NDArray[np.float32], same_top: NDArray[np.bool_], clusters: Clusters) -> Flips:
    classes = np.digitize(margin, MARGINS, right=True)
    tie, soft, firm, hard = (
        share(~same_top & (classes == each), clusters) for each in range(len(MARGINS) + 1)
    )
    return Flips(tie=tie, soft=soft, firm=firm, hard=hard)


def _temperature(kld: Floats, ours: _Reference) -> Estimate:
    """The temperature that disturbs the reference as much; its error by leaving out each cluster in turn."""
    clusters = ours.clusters
    if clusters.count == 0:
        return Estimate(reason="nothing was scored")
    sums = np.column_stack([clusters.sums(kld), ours.kld_at])
    value = _equivalent(sums.sum(axis=0))
    if value is None:
        return Estimate(reason=f"disturbs more than a temperature of {TEMPERATURES[-1]}")
    if clusters.count == 1:
        return Estimate(value=value, reason="one text only: an error takes two")
    without = [_equivalent(sums.sum(axis=0) - each) for each in sums]
    if None in without:
        return Estimate(
            value=value, reason=f"the interval reaches beyond a temperature of {TEMPERATURES[-1]}"
        )
    spread = np.array(without, dtype=np.float64)
    error = math.sqrt((clusters.count - 1) * float(spread.var()))
    half = half_width(error, clusters.count)
    return Estimate(value=value, error=error, low=max(1.0, value - half), high=value + half)


def _equivalent(sums: Floats) -> float | None:
    """From the sum of KL divergences and those at TEMPERATURES. KL(p ‖ p at T) grows with the square of T -
    1, so its root is almost a straight line between the points; None beyond the last."""
    roots = np.sqrt(np.maximum(sums, 0.0))
    if roots[0] > roots[-1]:
        return None
    return float(np.interp(roots[0], [0.0, *roots[1:]], [1.0, *TEMPERATURES]))
