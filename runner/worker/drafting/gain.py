"""Whether a draft pays: expected tokens per second with it against those without. Pure arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

ROWS = (1, 2, 4, 8, 16, 32)
"""Batch sizes whose cost is known; between them it is interpolated."""

# Estimates are never exact: a draft must bring more than the time it adds would bring without it, and pay for
# the work around it, in parts of a step.
_RISK, _OVERHEAD = 1.2, 0.01
# What 1…32 rows cost on a processor with slow kernels, until something has been measured.
_CAUTIOUS = (1.0, 1.6, 2.6, 4.4, 8.0, 15.0)
# A step that is slower than expected is mostly a slower moment or a fuller context, which all sizes share.
_COMMON_WEIGHT, _OWN_WEIGHT = 0.1, 0.1


class StepCosts:
    """Seconds of a decode by the rows in its batch: measured at rest, followed from step to step."""

    def __init__(self) -> None:
        self._seconds: list[float] | None = None

    @property
    def is_known(self) -> bool:
        return self._seconds is not None

    def measured(self, seconds: dict[int, float]) -> None:
        """Take over what was measured, by rows of `ROWS`, 1 among them; sizes beyond follow the last two."""
        known = [seconds[rows] for rows in ROWS if rows in seconds]
        for index in range(len(known), len(ROWS)):
            # No line through one point: then the cautious shape.
            slope = _slope(known, index - 1) if index > 1 else known[0] * (_CAUTIOUS[1] - 1)
            known.append(known[-1] + slope * (ROWS[index] - ROWS[index - 1]))
        # More rows are never cheaper: it was noise.
        self._seconds = [max(known[: index + 1]) for index in range(len(known))]

    def observe(self, rows: int, seconds: float) -> None:
        """A real step of `rows` took `seconds`."""
        if self._seconds is None:
            unit = seconds / _interpolate(_CAUTIOUS, rows)
            self._seconds = [cost * unit for cost in _CAUTIOUS]
            return
        # One step in the way of another program says little about the next.
        error = min(max(seconds / self.seconds(rows), 0.5), 2.0) - 1
        index = min(bisect_right(ROWS, rows) - 1, len(ROWS) - 2)
        share = min((rows - ROWS[index]) / (ROWS[index + 1] - ROWS[index]), 1.0)
        weights = [_COMMON_WEIGHT] * len(ROWS)
        weights[index] += _OWN_WEIGHT * (1 - share)
        weights[index + 1] += _OWN_WEIGHT * share
        self._seconds = [cost * (1 + error * own) for cost, own in zip(self._seconds, weights, strict=True)]

    def seconds(self, rows: int) -> float:
        """Expected seconds of a step of `rows` (at least 1); in units of one row before anything is known."""
        return _interpolate(self._seconds or _CAUTIOUS, rows)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step is expected to do before one more draft: `rows` to decode, and `tokens` to gain from them
    (each stream's next one, and accepted drafts)."""

    rows: int
    tokens: float


def best_length(chances: Sequence[float], step: Step, costs: StepCosts, token_s: float = 0.0) -> int:
    """How many guesses to verify; 0 unless it is clear that this raises tokens per second.

    `chances[i]` is the probability that guess i is right if those before it are. `token_s` is what making
    each guess costs. Tokens are those of all streams, so that one stream's draft does not starve the others:
    maximises (tokens + expected accepted) / (seconds(rows + k) + k * token_s).
    """
    if not chances:
        return 0
    plain_s = costs.seconds(step.rows)
    best, best_tps = 0, step.tokens / plain_s
    accepted, reach = 0.0, 1.0
    for length, chance in enumerate(chances, 1):
        reach *= chance
        accepted += reach
        more_s = costs.seconds(step.rows + length) + length * token_s - plain_s
        tps = (step.tokens + accepted) / (plain_s + more_s)
        is_clear = accepted * plain_s > step.tokens * (_RISK * more_s + _OVERHEAD * plain_s)
        if is_clear and tps > best_tps:
            best, best_tps = length, tps
    return best


def expected(chances: Sequence[float]) -> float:
    """How many of these guesses will be accepted, on average: each needs all before it."""
    total, reach = 0.0, 1.0
    for chance in chances:
        reach *= chance
        total += reach
    return total


def _interpolate(seconds: Sequence[float], rows: int) -> float:
    index = min(bisect_right(ROWS, rows) - 1, len(ROWS) - 2)
    return seconds[index] + (rows - ROWS[index]) * _slope(seconds, index + 1)


def _slope(seconds: Sequence[float], index: int) -> float:
    return (seconds[index] - seconds[index - 1]) / (ROWS[index] - ROWS[index - 1])
