"""Measured numbers: what they come to and how much they vary. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Unit = Literal["tok/s", "ms"]


@dataclass(frozen=True, slots=True)
class Figure:
    """`spread` is the standard deviation over repetitions; None if there was one only. `threads` are all
    numbers of compute threads it was measured with, ascending; `disturbed` if others took cores it needed."""

    name: str
    unit: Unit
    value: float
    spread: float | None
    threads: tuple[int, ...] = ()
    disturbed: bool = False


def mean(name: str, unit: Unit, samples: Sequence[float]) -> Figure:
    return Figure(name, unit, statistics.fmean(samples), deviation(samples))


def pooled(name: str, unit: Unit, rounds: Sequence[Sequence[float]], percent: float) -> Figure:
    """The percentile of all samples; its spread is that of the rounds' percentiles."""
    value = percentile([sample for samples in rounds for sample in samples], percent)
    return Figure(name, unit, value, deviation([percentile(samples, percent) for samples in rounds]))


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that `percent` of all do not exceed (nearest rank)."""
    rank = math.ceil(percent / 100 * len(samples))
    return sorted(samples)[max(0, rank - 1)]


def deviation(samples: Sequence[float]) -> float | None:
    return statistics.stdev(samples) if len(samples) > 1 else None
