"""Which candidates can be told apart by KL divergence, and whether more text would change the ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal

import numpy as np

from runner.compare.blocks import CandidateScores
from runner.compare.clusters import Floats, half_width, normal_of, ratio

ORDERED_Z = 3.0
"""What the ranking is settled by: nobody should see it turn round."""

DISTINCT_Z = 1.96
"""What is called a tie must not be distinct even at the usual 95 %: a tie is recommended by its smallest."""

EQUIVALENT = 0.1
"""Differences within this share of the smaller KL divergence do not matter to anybody."""

_FLOORS = 3
"""Differences below so many noise floors are not differences of the files."""

_LEAST_CLUSTERS = 8
"""Below these, how far texts differ is itself a guess."""

_SURE_T = 1e9

Verdict = Literal["ordered", "tied", "open"]
Scores = Mapping[str, Sequence[CandidateScores]]
"""By name of the candidate, for each block: the same blocks in the same order for all."""


@dataclass(frozen=True, slots=True)
class Pair:
    """How far two candidates' mean KL divergence is apart on the same tokens, in nats: `worse` less `better`.
    `low` and `high` are its 95 % interval; `z` is that of its Student's t. `ordered`: surely different.
    `tied`: surely so close that it does not matter. `open`: not known."""

    better: str
    worse: str
    value: float
    low: float
    high: float
    z: float
    verdict: Verdict = "open"

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.better, self.worse))


def tie_groups(scores: Scores, noise_floor: float = 0.0) -> list[list[str]]:
    """Runs of the ranking, two names or more and best first, of which no two are surely different. Two runs
    may share names: Q5 may be like Q6 and like Q4 although Q6 and Q4 differ."""
    names = _ranked(scores)
    found = pairs(scores, noise_floor, DISTINCT_Z)
    ordered = {pair.names for pair in found if pair.verdict == "ordered"}
    groups: list[list[str]] = []
    for start in range(len(names)):
        run = _run(names[start:], ordered)
        # A run that ends where the one before it ends lies inside it.
        if len(run) > 1 and not (groups and run[-1] == groups[-1][-1]):
            groups.append(run)
    return groups


def is_settled(scores: Scores, noise_floor: float = 0.0) -> bool:
    """Whether every two neighbours of the ranking are surely different or surely equivalent. Never with fewer
    than two candidates: there the budget decides how exact the figure gets."""
    names = _ranked(scores)
    if len(names) < 2 or len(scores[names[0]]) < _LEAST_CLUSTERS:
        return False
    neighbours = {frozenset(pair) for pair in pairwise(names)}
    return all(pair.verdict != "open" for pair in pairs(scores, noise_floor) if pair.names in neighbours)


def pairs(scores: Scores, noise_floor: float = 0.0, z: float = ORDERED_Z) -> list[Pair]:
    """All pairs, tested together (Holm 1979) at the level of a single |z|. None with fewer than two blocks,
    for one text says nothing of others."""
    sizes = np.array([len(block.kld) for block in next(iter(scores.values()), ())], dtype=np.float64)
    if len(sizes) < 2:
        return []
    sums, noise = _sums(scores), _FLOORS * noise_floor
    found = [_difference(one, other, sums, sizes) for one, other in combinations(sums, 2)]
    significant = _significant(found, z)

    def verdict(pair: Pair) -> Verdict:
        if pair in significant and pair.value > noise:
            return "ordered"
        band = max(noise, EQUIVALENT * float(sums[pair.better].sum() / sizes.sum()))
        return "tied" if -band <= pair.low and pair.high <= band else "open"

    return [replace(pair, verdict=verdict(pair)) for pair in found]


def _run(names: Sequence[str], ordered: set[frozenset[str]]) -> list[str]:
    run: list[str] = []
    for name in names:
        if any(frozenset((name, member)) in ordered for member in run):
            break
        run.append(name)
    return run


def _sums(scores: Scores) -> dict[str, Floats]:
    """KL divergence of each block."""
    return {name: np.array([block.kld.sum() for block in blocks]) for name, blocks in scores.items()}


def _ranked(scores: Scores) -> list[str]:
    """Best first; of equals, those named first."""
    sums = _sums(scores)
    return sorted(sums, key=lambda name: float(sums[name].sum()))


def _difference(one: str, other: str, sums: Mapping[str, Floats], sizes: Floats) -> Pair:
    """On at least two blocks."""
    better, worse = (one, other) if sums[one].sum() <= sums[other].sum() else (other, one)
    estimate = ratio(sums[worse] - sums[better], sizes)
    value, error = estimate.value or 0.0, estimate.error or 0.0
    half = half_width(error, len(sizes))
    # Without any spread: equal at every block, or different by the same everywhere.
    t = value / error if error else math.copysign(_SURE_T, value) if value else 0.0
    return Pair(better, worse, value, value - half, value + half, normal_of(t, len(sizes) - 1))


def _significant(differences: Sequence[Pair], z: float) -> set[Pair]:
    level = _two_tails(z)
    found: set[Pair] = set()
    for place, each in enumerate(sorted(differences, key=lambda difference: -difference.z)):
        if _two_tails(each.z) > level / (len(differences) - place):
            break
        found.add(each)
    return found


def _two_tails(z: float) -> float:
    """How often a normal value lies farther out than `z`, on either side."""
    return math.erfc(z / math.sqrt(2))
