"""Whether a mixture is better than what everybody can have: pure but for numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.compare.blocks import CandidateScores
from runner.compare.quality import kld_mean
from runner.compare.ties import ORDERED_Z, pairs

Scores = Mapping[str, Sequence[CandidateScores]]
"""By kind of text."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`z` says how sure it is that the mixture is closer to the source than the stock file, for each kind of
    text: of the first kind it decides. `gain` is the share of KL divergence that it saves there."""

    keeps_mixture: bool
    z: Mapping[str, float]
    gain: float


def verdict(mixture: Scores, stock: Scores) -> Verdict:
    """A mixture is kept if it is surely better on held-out text of the kind it was made with, and not surely
    worse on any other: else stock is as good."""
    z = {kind: _z(mixture[kind], stock[kind]) for kind in mixture}
    first = next(iter(mixture))
    ours, theirs = kld_mean(mixture[first]).value or 0.0, kld_mean(stock[first]).value or 0.0
    keeps = z[first] >= ORDERED_Z and all(each > -ORDERED_Z for each in z.values())
    return Verdict(keeps, z, 1 - ours / theirs if theirs else 0.0)


def _z(mixture: Sequence[CandidateScores], stock: Sequence[CandidateScores]) -> float:
    """Positive where the mixture is better; 0 where nothing can be said."""
    found = pairs({"mixture": mixture, "stock": stock})
    if not found:
        return 0.0
    return found[0].z if found[0].better == "mixture" else -found[0].z
