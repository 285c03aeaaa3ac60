"""Figures as people read them."""

from __future__ import annotations

import math

from runner.wire.compare import Comparison, Estimate

MISSING = "–"
MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 3) -> str:
    """About so many significant digits: "0.0109", "31.4", "16,070"."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else MISSING
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _signed(value, decimals)


def with_error(estimate: Estimate | None, scale: float = 1.0) -> str:
    """ "0.0109 ± 0.0004", with two digits of the error at most; the interval where there is no symmetric error; a
    figure without either stands alone."""
    if estimate is None or estimate.value is None or not math.isfinite(estimate.value):
        return MISSING
    value = estimate.value * scale
    if estimate.error is not None and math.isfinite(estimate.error):
        error = estimate.error * scale
        if error == 0:
            return f"{number(value)} ± 0"
        decimals = max(0, (1 if _leading(error) > 2 else 2) - 1 - math.floor(math.log10(abs(error))))
        return f"{_signed(value, decimals)} ± {error:,.{decimals}f}"
    if estimate.low is not None and estimate.high is not None:
        return f"{number(value)} ({number(estimate.low * scale)} to {number(estimate.high * scale)})"
    return number(value)


def note(estimate: Estimate | None, scale: float = 1.0) -> str | None:
    """What stands behind a figure: its 95 % interval, or why there is no figure or no error."""
    if estimate is None:
        return "not measured"
    if estimate.low is not None and estimate.high is not None:
        return f"95 %: {number(estimate.low * scale)} to {number(estimate.high * scale)}"
    return estimate.reason


def size(size_bytes: float) -> str:
    """ "612 MB", "4.92 GB": decimal, three digits."""
    in_gb = size_bytes >= 999_500_000
    return f"{number(size_bytes / (1e9 if in_gb else 1e6))} {'GB' if in_gb else 'MB'}"


def byte_unit(comparison: Comparison) -> tuple[float, str]:
    """The unit that all memory of `comparison` is shown in: bytes of it, and its name."""
    largest = max((each.size_bytes for each in comparison.variants), default=0)
    return (1e9, "GB") if largest >= 999_500_000 else (1e6, "MB")


def context(tokens: int) -> str:
    """ "4k", "512"."""
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else f"{tokens:,}"


def shortened(text: str, characters: int) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def letter(index: int) -> str:
    """A, B, … Z, AA, AB, …: tells variants apart where colours do not."""
    return ("" if index < 26 else letter(index // 26 - 1)) + chr(ord("A") + index % 26)


def _leading(value: float) -> int:
    """The first digit that is not zero."""
    return int(f"{abs(value):e}"[0])


def _signed(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}".replace("-", MINUS)
