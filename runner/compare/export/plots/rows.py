"""What pictures with one row for each variant have in common."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from runner.compare.export.drawing import bare, color
from runner.compare.export.words import shortened
from runner.readout.course import Course
from runner.readout.numbers import figure, halves
from runner.wire.compare import Comparison, Estimate, VariantResult

_NAME_CHARACTERS = 18


def height(rows: int, around: int) -> int:
    """In pixels; `around` is what titles and axes take."""
    return 27 * rows + around


def prepare(axes: Axes, comparison: Comparison, variants: Sequence[VariantResult]) -> None:
    """Names on the left, the first at the top, the recommended one emphasized."""
    bare(axes)
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
    longest = 0.0
    for row, each in enumerate(figures):
        if each is None or each.value is None:
            continue
        below, above = halves(each) or (0.0, 0.0)
        end = each.value + above
        axes.barh(row, each.value, height=0.62, color=color(role), xerr=[[below], [above]],
                  error_kw={"ecolor": color("ink"), "elinewidth": 1.3, "capsize": 3})  # fmt: skip
        axes.annotate(figure(each).value, (end, row), xytext=(5, 0), textcoords="offset points",
                      va="center", fontsize=12, color=color("ink"))  # fmt: skip
        longest = max(longest, end)
    axes.set_xlim(0, longest * 1.17 or 1.0)
    axes.xaxis.set_visible(False)
