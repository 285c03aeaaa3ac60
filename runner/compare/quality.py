"""A candidate's quality against the reference, in all and by kind of text, from what both said of the same
tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.compare import clusters as clustered
from runner.compare.blocks import TEMPERATURES, Block, CandidateScores, ReferenceScores
from runner.compare.clusters import Clusters, Floats
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

WARNING_Z = 3.0
"""From here a kind of text is called worse than the rest."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """One candidate beside the reference, all blocks end to end; `clusters` are the blocks. `kld_at` is
    (blocks, temperatures)."""

    clusters: Clusters
    reference_nll: Floats
    margin: NDArray[np.float32]
    kld_at: Floats
    candidate: CandidateScores

    @property
    def delta_p(self) -> Floats:
        difference: Floats = np.exp(-self.candidate.nll) - np.exp(-self.reference_nll)
        return difference


def pooled(reference: Sequence[ReferenceScores], candidate: Sequence[CandidateScores]) -> Pooled:
    """Both in the same order, one entry a block."""
    return Pooled(
        clusters=Clusters.of([len(each.nll) for each in reference]),
        reference_nll=np.concatenate([np.empty(0), *(each.nll for each in reference)]),
        margin=np.concatenate([np.empty(0, np.float32), *(each.margin for each in reference)]),
        kld_at=np.array([each.kld_at for each in reference]).reshape(len(reference), len(TEMPERATURES)),
        candidate=end_to_end(candidate),
    )


def end_to_end(scores: Sequence[CandidateScores]) -> CandidateScores:
    """All blocks as one."""
    return CandidateScores(
        nll=np.concatenate([np.empty(0), *(each.nll for each in scores)]),
        kld=np.concatenate([np.empty(0), *(each.kld for each in scores)]),
        same_top=np.concatenate([np.empty(0, np.bool_), *(each.same_top for each in scores)]),
    )


def summarize(
    blocks: Sequence[Block], reference: Sequence[ReferenceScores], candidate: Sequence[CandidateScores]
) -> tuple[Quality, dict[str, DomainQuality]]:
    """Quality in all, and by kind of text. The three are in the same order, one entry a block."""
    of = pooled(reference, candidate)
    hard = ~of.candidate.same_top & (of.margin > MARGINS[-1])
    return _quality(of, _text_bytes(blocks), hard), _domains([block.domain for block in blocks], of, hard)


def summarize_alone(blocks: Sequence[Block], reference: Sequence[ReferenceScores]) -> Quality:
    """Of a model that cannot be compared by tokens, for it has another vocabulary than the others: perplexity
    of its own tokens and bits per byte; everything else is refused."""
    of = pooled(reference, ())
    return blank(
        Quality,
        NO_KLD,
        tokens=of.clusters.tokens,
        clusters=of.clusters.count,
        ppl=perplexity(of.reference_nll, of.clusters),
        bits_per_byte=_bits_per_byte(of.reference_nll, of.clusters, _text_bytes(blocks)),
        flips=blank(Flips, NO_KLD),
    )


def kld_mean(blocks: Sequence[CandidateScores]) -> Estimate:
    """Of all tokens together, in nats."""
    return clustered.mean(end_to_end(blocks).kld, Clusters.of([len(each.kld) for each in blocks]), least=0.0)


def _text_bytes(blocks: Sequence[Block]) -> Floats:
    return np.array([block.scored_bytes for block in blocks], dtype=np.float64)


def _quality(of: Pooled, text_bytes: Floats, hard: NDArray[np.bool_]) -> Quality:
    clusters, theirs, delta_p = of.clusters, of.candidate, of.delta_p
    kld = clustered.mean(theirs.kld, clusters, least=0.0)
    median, p90, p99, p999 = _percentiles(theirs.kld, clusters)
    hard_flips = clustered.share(hard, clusters)
    return Quality(
        tokens=clusters.tokens,
        clusters=clusters.count,
        ppl=perplexity(theirs.nll, clusters),
        ln_ratio=clustered.mean(theirs.nll - of.reference_nll, clusters),
        kld_mean=kld,
        kld_median=median,
        kld_p90=p90,
        kld_p99=p99,
        kld_p999=p999,
        delta_p_mean=clustered.mean(delta_p, clusters),
        delta_p_rms=root_mean_square(delta_p, clusters),
        same_top=clustered.share(theirs.same_top, clusters),
        flips=_flips(of.margin, theirs.same_top, clusters),
        hard_flips=hard_flips,
        temperature=_temperature(of),
        bits_per_byte=_bits_per_byte(theirs.nll, clusters, text_bytes),
        tier=tier(kld, p99, hard_flips),
    )


def perplexity(nll: Floats, clusters: Clusters) -> Estimate:
    logarithm = clustered.mean(nll, clusters)
    return clustered.mapped(logarithm, _exp, _exp(logarithm.value or 0.0))


def _exp(value: float) -> float:
    """Within what a float holds: the interval of a broken model may leave it."""
    return math.exp(min(value, 700.0))


def _bits_per_byte(nll: Floats, clusters: Clusters, text_bytes: Floats) -> Estimate:
    return clustered.ratio(clusters.sums(nll) / math.log(2), text_bytes, least=0.0)


def text_bits(blocks: Sequence[Block], nll: Sequence[Floats]) -> list[float]:
    """Bits per byte of each block: pairs models of different vocabularies, if both were asked the same."""
    return [
        float(each.sum()) / math.log(2) / block.scored_bytes for block, each in zip(blocks, nll, strict=True)
    ]


def root_mean_square(values: Floats, clusters: Clusters) -> Estimate:
    squares = clustered.mean(values**2, clusters, least=0.0)
    root = math.sqrt(squares.value or 0.0)
    return clustered.mapped(squares, math.sqrt, 1 / (2 * root) if root else 0.0)


def _percentiles(kld: Floats, clusters: Clusters) -> list[Estimate]:
    """Of LEAST_TOKENS, in its order; those of the tail only where enough tokens carry them."""
    enough = [level for level, least in LEAST_TOKENS.items() if clusters.tokens >= least]
    missing = list(LEAST_TOKENS.items())[len(enough) :]
    return clustered.quantiles(kld, clusters, enough) + [
        Estimate(reason=f"takes {least:,} tokens, {clusters.tokens:,} were scored") for _, least in missing
    ]


def _flips(margin: NDArray[np.float32], same_top: NDArray[np.bool_], clusters: Clusters) -> Flips:
    classes = np.digitize(margin, MARGINS, right=True)
    tie, soft, firm, hard = (
        clustered.share(~same_top & (classes == each), clusters) for each in range(len(MARGINS) + 1)
    )
    return Flips(tie=tie, soft=soft, firm=firm, hard=hard)


def _temperature(of: Pooled) -> Estimate:
    """The temperature that disturbs the reference as much; its error by leaving out each cluster in turn."""
    clusters = of.clusters
    if clusters.count == 0:
        return Estimate(reason="nothing was scored")
    sums = np.column_stack([clusters.sums(of.candidate.kld), of.kld_at])
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
    half = clustered.half_width(error, clusters.count)
    return Estimate(value=value, error=error, low=max(1.0, value - half), high=value + half)


def _equivalent(sums: Floats) -> float | None:
    """From the sum of KL divergences and those at TEMPERATURES. KL(p ‖ p at T) grows with the square of T -
    1, so its root is almost a straight line between the points; None beyond the last."""
    roots = np.sqrt(np.maximum(sums, 0.0))
    if roots[0] > roots[-1]:
        return None
    return float(np.interp(roots[0], [0.0, *roots[1:]], [1.0, *TEMPERATURES]))


def _domains(names: Sequence[str], of: Pooled, hard: NDArray[np.bool_]) -> dict[str, DomainQuality]:
    """By name, in the order in which they first appear; `names` has the domain of each cluster."""
    found = np.array(names)
    return {name: _domain(of, hard, found == name) for name in dict.fromkeys(names)}


def _domain(of: Pooled, hard: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> DomainQuality:
    """Of the `chosen` clusters, (clusters,), and which candidates are worse there than on the rest."""
    tokens = np.repeat(chosen, of.clusters.sizes)
    inside, outside = Clusters(of.clusters.sizes[chosen]), Clusters(of.clusters.sizes[~chosen])
    kld = clustered.mean(of.candidate.kld[tokens], inside, least=0.0)
    z = difference_z(kld, inside.count, clustered.mean(of.candidate.kld[~tokens], outside), outside.count)
    return DomainQuality(
        tokens=inside.tokens,
        clusters=inside.count,
        kld_mean=kld,
        same_top=clustered.share(of.candidate.same_top[tokens], inside),
        hard_flips=clustered.share(hard[tokens], inside),
        z=z,
        is_worse=z is not None and z >= WARNING_Z,
    )


def difference_z(one: Estimate, one_clusters: int, other: Estimate, other_clusters: int) -> float | None:
    """How many normal deviations `one` lies above `other`, both from clusters of their own: Welch's t, with
    the degrees of freedom that few clusters leave. None without two errors."""
    if one.value is None or other.value is None or not one.error or not other.error:
        return None
    variance, other_variance = one.error**2, other.error**2
    both = variance + other_variance
    freedom = both**2 / (variance**2 / (one_clusters - 1) + other_variance**2 / (other_clusters - 1))
    return clustered.normal_of((one.value - other.value) / math.sqrt(both), freedom)
