"""Figures as a report has them: written as in the terminal, with what stands behind them."""

from __future__ import annotations

from itertools import chain

from runner.readout.numbers import ByteUnit, byte_unit, figure, rounded
from runner.wire.compare import Comparison, Estimate


def with_error(estimate: Estimate | None, scale: float = 1.0) -> str:
    """ "0.0109 ± 0.0008": ± is half of the 95 % interval; only the figure where there is none."""
    shown = figure(estimate, scale)
    return f"{shown.value} ± {shown.error}" if shown.error else shown.value


def note(estimate: Estimate | None, scale: float = 1.0) -> str | None:
    """The 95 % interval of a figure, or why there is no figure or no interval."""
    if estimate is None:
        return "not measured"
    if estimate.low is not None and estimate.high is not None:
        return f"95 %: {rounded(estimate.low * scale)} to {rounded(estimate.high * scale)}"
    return estimate.reason


def unit(comparison: Comparison) -> ByteUnit:
    """The one that all memory of `comparison` is shown in."""
    sizes = ((each.size_bytes, each.memory.total_bytes if each.memory else 0) for each in comparison.variants)
    return byte_unit(chain.from_iterable(sizes))


def context(tokens: int | None) -> str:
    """ "4k", "1,000"; "own" for that of each variant."""
    if tokens is None:
        return "own"
    return f"{tokens // 1024}k" if tokens and tokens % 1024 == 0 else f"{tokens:,}"


def shortened(text: str, characters: int) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"
