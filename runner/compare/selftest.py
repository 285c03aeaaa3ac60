"""Whether the ruler is straight: what must hold of any scores, and of llama-perplexity's figures beside ours.
Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.compare.blocks import CandidateScores
from runner.compare.clusters import mean, quantiles, share
from runner.compare.quality import Pooled, end_to_end, perplexity, root_mean_square
from runner.wire.compare import Estimate

# KL divergence below nothing that rounding explains.
_ROUNDING_NATS = 1e-6
_STANDARD_ERRORS = 3.0
_RECORD_FRACTION = 0.02


@dataclass(frozen=True, slots=True)
class Check:
    """`found` says in figures what was seen, and beside what."""

    name: str
    passed: bool
    found: str


def itself(scores: Pooled) -> Check:
    """The reference as its own candidate: no difference at all."""
    worst = float(np.abs(scores.candidate.kld).max())
    flips = int((~scores.candidate.same_top).sum())
    same = bool((scores.candidate.nll == scores.reference_nll).all())
    found = f"KL divergence at most {worst:g}, {flips} flips in {scores.clusters.tokens:,} tokens"
    return Check("the reference beside itself: exactly nothing", same and worst == 0 and flips == 0, found)


def bounds(name: str, scores: Pooled) -> Check:
    """Of each token: D ≥ 0, and |q(x) - p(x)| ≤ √(D/2), Pinsker's inequality; but for rounding."""
    divergence = scores.candidate.kld
    least = float(divergence.min())
    excess = np.abs(scores.delta_p) - np.sqrt((np.maximum(divergence, 0) + _ROUNDING_NATS) / 2)
    passed = least >= -_ROUNDING_NATS and float(excess.max()) <= 0
    found = f"least divergence {least:.2g}, |Δp| at most {excess.max():+.2g} above Pinsker's bound"
    return Check(f"{name}: no token outside the bounds of theory", passed, found)


def sampled(name: str, scores: Pooled) -> Check:
    """On text that the reference wrote at temperature 1, the ln ratio's mean is that of KL divergence.

    Given what goes before, a token's ln ratio is expected to be its KL divergence: the differences are a
    martingale's, uncorrelated whatever the text, so that their error is that of single tokens, not of texts.
    """
    ratio = scores.candidate.nll - scores.reference_nll
    gap, error = _mean_and_error(ratio - scores.candidate.kld)
    found = (
        f"ln ratio {ratio.mean():.5f}, KL divergence {scores.candidate.kld.mean():.5f},"
        f" error of the difference {error:.5f}"
    )
    passed = abs(gap) <= _STANDARD_ERRORS * error
    return Check(f"{name}: ln ratio and KL divergence agree on the reference's own text", passed, found)


def record(name: str, exact: Pooled, compact: Pooled, lumped: NDArray[np.float64]) -> Check:
    """The reference's compact record says what lock step says, and its lower bound `lumped` is one for each
    token."""
    divergence = float(exact.candidate.kld.mean())
    gap, error = _mean_and_error(compact.candidate.kld - exact.candidate.kld)
    same = bool(
        (compact.candidate.nll == exact.candidate.nll).all()
        and (compact.candidate.same_top == exact.candidate.same_top).all()
    )
    excess = float((lumped - exact.candidate.kld).max())
    is_near = abs(gap) <= _RECORD_FRACTION * divergence and abs(gap) <= _STANDARD_ERRORS * error
    passed = same and is_near and excess <= _ROUNDING_NATS
    fraction = gap / divergence if divergence else 0.0
    found = f"{divergence:.6f} in lock step, {fraction:+.2%} by the record, its error {error:.2g},"
    found += f" its lower bound at most {excess:+.2g} above"
    return Check(f"{name}: the compact record agrees with lock step", passed, found)


def _mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def against_peer(
    name: str, scores: Pooled, beside_file: Sequence[CandidateScores], peer: Mapping[str, Estimate]
) -> list[Check]:
    """`beside_file` is what the candidate is beside the distributions that llama-perplexity stored: their 16
    bits are the reason for most tolerances."""
    clusters, candidate = scores.clusters, scores.candidate
    median, p99 = quantiles(candidate.kld, clusters, [0.5, 0.99])
    rows = {
        "perplexity": (perplexity(candidate.nll, clusters), 0, 1e-4),
        "mean KL divergence": (mean(candidate.kld, clusters), 5e-5, 5e-3),
        "median KL divergence": (median, 1e-4, 1e-2),
        "KL divergence, 99 %": (p99, 1e-4, 1e-2),
        "RMS Δp": (root_mean_square(scores.delta_p, clusters), 1e-4, 0),
        "same top": (share(candidate.same_top, clusters), 1e-3, 0),
    }
    checks = [close(f"{name}: {what}", ours, peer[what], *within) for what, (ours, *within) in rows.items()]
    stored = mean(end_to_end(beside_file).kld, clusters)
    from_file = f"{name}: mean KL divergence, both from its file,"
    return [*checks, close(from_file, stored, peer["mean KL divergence"], 1e-5, 1e-3)]


def close(name: str, ours: Estimate, theirs: Estimate, absolute: float, relative: float) -> Check:
    """Within the larger of both tolerances. Errors are shown, not compared: ours are those of texts, theirs
    of single tokens."""
    if ours.value is None or theirs.value is None:
        return Check(name, False, ours.reason or theirs.reason or "")
    within = max(absolute, relative * theirs.value)
    found = f"{_written(ours)} here, {_written(theirs)} by llama-perplexity, {within:.2g} allowed"
    is_close = abs(ours.value - theirs.value) <= within
    return Check(f"{name} as llama-perplexity has it", is_close, found)


def _written(figure: Estimate) -> str:
    return f"{figure.value:.6g}" + (f" ± {figure.error:.2g}" if figure.error is not None else "")
