"""What pictures with one row for each variant have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes

from runner.compare.export.drawing import bare, color
from runner.compare.export.words import shortened
from runner.readout.course import Course
from runner.readout.numbers import half_width, rounded
from runner.wire.compare import Comparison, Estimate, VariantResult

_NAME_CHARACTERS = 18
WIDTH = 440
"""Of a picture that takes half a page, in pixels."""


def height(rows: int, around: int = 64) -> int:
    """In pixels; `around` is what titles and axes take."""
    return 27 * rows + around


def prepare(
    axes: Axes, comparison: Comparison, variants: Sequence[VariantResult], grid: Literal["x"] | None = "x"
) -> None:
    """Names on the left, the first at the top, the recommended one emphasized."""
    bare(axes, grid=grid)
    course = Course.of(comparison)
    letters = course.letters
    names = [f"{shortened(each.name, _NAME_CHARACTERS)}  {letters[each.name]}" for each in variants]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.45, -0.55)
    for tick, variant in zip(axes.get_yticklabels(), variants, strict=True):
        if variant.name == course.choice:
            tick.set_color(color("accent"))
            tick.set_fontweight("bold")


def bars(axes: Axes, figures: Sequence[Estimate | None], role: str) -> None:
    """Horizontal bars with their 95 % intervals and figures; nothing where a figure is missing."""
    known = [(row, each) for row, each in enumerate(figures) if each is not None and each.value is not None]
    rows = [row for row, _ in known]
    values = [each.value or 0.0 for _, each in known]
    errors = [half_width(each) or 0.0 for _, each in known]
    axes.barh(rows, values, height=0.62, color=color(role), xerr=errors,
              error_kw={"ecolor": color("ink"), "elinewidth": 1.3, "capsize": 3})  # fmt: skip
    for row, value, error in zip(rows, values, errors, strict=True):
        axes.annotate(rounded(value), (value + error, row), xytext=(5, 0), textcoords="offset points",
                      va="center", fontsize=11, color=color("ink"))  # fmt: skip
    longest = max((value + error for value, error in zip(values, errors, strict=True)), default=1.0)
    axes.set_xlim(0, longest * 1.17)
    axes.xaxis.set_visible(False)
