"""Figures as people read them: as many digits as their uncertainty allows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from runner.wire.compare import Estimate

UNKNOWN = "–"
_MOST_DECIMALS = 6
_Z_95 = 1.96
_MOST_COUNTED = 10_000
_EVEN = 2 / 3
"""From here the shorter half of an interval is taken for as long as the other."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`error` is half of the 95 % interval, empty if it is not known or `value` has the interval in it."""

    value: str
    error: str = ""


def figure(estimate: Estimate | None, factor: float = 1.0) -> Figure:
    """`estimate` times `factor`. Its uncertainty has one digit, two if the first is a 1."""
    if estimate is None or estimate.value is None:
        return Figure(UNKNOWN)
    value, half = estimate.value * factor, half_width(estimate)
    if not half:
        return Figure(rounded(value))
    if (uneven := _uneven(estimate, factor)) is not None:
        return uneven
    decimals = _decimals_of_error(half * factor)
    return Figure(f"{value:.{decimals}f}", f"{half * factor:.{decimals}f}")


def _uneven(estimate: Estimate, factor: float) -> Figure | None:
    """Of an interval with which ± would claim too much, as a share above 100 %: `81 (47–95)`. With an end
    at the value, as that of a share that is 0 or 1, the other end alone."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None or low is None or high is None:
        return None
    if value in (low, high):
        return Figure(f"≤ {rounded(high * factor)}" if value == low else f"≥ {rounded(low * factor)}")
    shorter, longer = sorted((high - value, value - low))
    if not 0 < shorter <= longer * _EVEN:
        return None
    decimals = _decimals_of_error(shorter * factor)
    shown, least, most = (f"{each * factor:.{decimals}f}" for each in (value, low, high))
    return Figure(f"{shown} ({least}–{most})")


def half_width(estimate: Estimate) -> float | None:
    """Half of the 95 % interval, the longer half if they differ; None if there is none."""
    both = halves(estimate)
    return None if both is None else max(both)


def halves(estimate: Estimate) -> tuple[float, float] | None:
    """How far the 95 % interval reaches below the value and above it; None if there is none."""
    if estimate.value is None:
        return None
    if estimate.low is not None and estimate.high is not None:
        return estimate.value - estimate.low, estimate.high - estimate.value
    return None if estimate.error is None else (estimate.error * _Z_95,) * 2


def rounded(value: float) -> str:
    """About three digits: `0.0123`, `4.58`, `31.4`, `1,240`; whole numbers as they are."""
    if not math.isfinite(value):
        return f"{value:g}"
    if value == round(value):
        return f"{value:,.0f}"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, min(decimals, _MOST_DECIMALS))}f}"


def _decimals_of_error(error: float) -> int:
    magnitude = math.floor(math.log10(error))
    first_digit = error / 10**magnitude
    digits = 2 if first_digit < 1.95 else 1
    return max(0, min(digits - 1 - magnitude, _MOST_DECIMALS))


@dataclass(frozen=True, slots=True)
class ByteUnit:
    name: str
    scale: int

    def of(self, size_bytes: int) -> str:
        size = size_bytes / self.scale
        return f"{size:.2f}" if size < 10 else f"{size:.1f}" if size < 100 else f"{size:.0f}"


def byte_unit(sizes: Iterable[int]) -> ByteUnit:
    """Decimal, one for all of `sizes`: gigabytes as soon as the largest has one."""
    return ByteUnit("GB", 10**9) if max(sizes, default=0) >= 10**9 else ByteUnit("MB", 10**6)


def bytes_text(size_bytes: int) -> str:
    """`35.0 MB`, `4.58 GB`."""
    unit = byte_unit([size_bytes])
    return f"{unit.of(size_bytes)} {unit.name}"


def amount(completed: int, total: int) -> str:
    """`6 of 16`; of what nobody counts, as bytes, `42 %`."""
    return f"{completed} of {total}" if total < _MOST_COUNTED else percent(completed / total)


def bar(share: float, cells: int = 16) -> str:
    full = round(share * cells)
    return "━" * full + "╌" * (cells - full)


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def duration(seconds: float) -> str:
    """`45 s`, `2 min 10 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
