"""Repeated measurements as a figure with its error. Pure.

The median and the median absolute deviation, so that one disturbed repetition does not move the result. For
the normal distribution the deviation is 1.4826 times its MAD, and too small by a factor that Croux and
Rousseeuw (1992, "Time-efficient algorithms for two highly robust estimators of scale") give for few samples;
the standard error of a median is √(π/2) times that of a mean.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from runner.wire.base import Wire
from runner.wire.compare import Estimate

W = TypeVar("W", bound=Wire)

_NORMAL = 1.4826
_SMALL_SAMPLE = {2: 1.196, 3: 1.495, 4: 1.363, 5: 1.206, 6: 1.200, 7: 1.140, 8: 1.129, 9: 1.107}
_MEDIAN_OF_MEAN = math.sqrt(math.pi / 2)
# Standard errors on each side that hold the truth 95 times of 100, by number of samples: simulated, two
# million sets of normal samples of each size. Student's t is for another kind of error and too narrow.
_HALF_WIDTHS = {
    2: 8.07, 3: 11.51, 4: 3.76, 5: 4.21, 6: 2.92, 7: 3.12, 8: 2.60, 9: 2.71, 10: 2.46, 11: 2.53, 12: 2.35,
}  # fmt: skip


def deviation(samples: Sequence[float]) -> float:
    """Standard deviation by the MAD of at least two samples."""
    middle = statistics.median(samples)
    mad = statistics.median(abs(sample - middle) for sample in samples)
    count = len(samples)
    return _NORMAL * mad * _SMALL_SAMPLE.get(count, count / (count - 0.8))


def median(samples: Sequence[float]) -> Estimate:
    """Its standard error and its 95 % interval, as far as there are samples enough."""
    if not samples:
        return Estimate(reason="not measured")
    middle = statistics.median(samples)
    if len(samples) == 1:
        return Estimate(value=middle, reason="measured once, so nothing is known of its error")
    error = _MEDIAN_OF_MEAN * deviation(samples) / math.sqrt(len(samples))
    half = error * _HALF_WIDTHS.get(len(samples), _HALF_WIDTHS[12])
    # What is never negative has no negative interval: two or three samples make wide ones.
    low = max(min(middle, 0.0), middle - half)
    return Estimate(value=middle, error=error, low=low, high=middle + half)


def blank(kind: type[W], why: str, /, **known: Any) -> W:
    """With every figure that is not `known` unknown, and `why`."""
    figures = [name for name, field in kind.model_fields.items() if field.annotation is Estimate]
    return kind.model_validate({**dict.fromkeys(figures, Estimate(reason=why)), **known})


def plus(a: Estimate, b: Estimate) -> Estimate:
    """Sum of two figures measured apart from each other; their reasons go with it."""
    reason = _reasons(a, b)
    if a.value is None or b.value is None:
        return Estimate(reason=reason or "a part of it was not measured")
    total = a.value + b.value
    if a.error is None or b.error is None:
        return Estimate(value=total, reason=reason)
    low, high = _half(a, "low", b), _half(a, "high", b)
    return Estimate(
        value=total, error=math.hypot(a.error, b.error), low=total - low, high=total + high, reason=reason
    )


def _reasons(a: Estimate, b: Estimate) -> str | None:
    return "; ".join(dict.fromkeys(each.reason for each in (a, b) if each.reason)) or None


def _half(a: Estimate, end: Literal["low", "high"], b: Estimate) -> float:
    """Of the interval of a sum; the lower half may be the shorter one, for nothing is negative."""
    return math.hypot(*(getattr(each, end) - (each.value or 0.0) for each in (a, b)))


def times(factor: float, figure: Estimate) -> Estimate:
    """`factor` is exact and positive."""
    parts = figure.model_dump(include={"value", "error", "low", "high"}, exclude_none=True)
    scaled = {part: factor * value for part, value in parts.items()}
    return Estimate(**scaled, reason=figure.reason)


def quotient(above: Estimate, below: Estimate) -> Estimate:
    """Of two positive figures measured apart from each other; relative errors add up in squares."""
    reason = _reasons(above, below)
    if above.value is None or not below.value:
        return Estimate(reason=reason or "a part of it was not measured")
    value = above.value / below.value
    if not (above.error and above.low and above.high and below.error and below.low and below.high):
        return Estimate(value=value, reason=reason or "a part of it has no error")
    error = value * math.hypot(above.error / above.value, below.error / below.value)
    lower = math.hypot(math.log(above.value / above.low), math.log(below.high / below.value))
    upper = math.hypot(math.log(above.high / above.value), math.log(below.value / below.low))
    return Estimate(value=value, error=error, low=value / math.exp(lower), high=value * math.exp(upper))


def duration(count: float, rate: Estimate) -> Estimate:
    """Seconds that `count` take at a rate a second."""
    if rate.value is None:
        return Estimate(reason=rate.reason or "its speed was not measured")
    value = count / rate.value
    if rate.error is None or not rate.low or not rate.high or rate.low <= 0:
        return Estimate(value=value, reason=rate.reason or "the speed it comes from varies too much")
    error = value * rate.error / rate.value
    return Estimate(value=value, error=error, low=count / rate.high, high=count / rate.low)
