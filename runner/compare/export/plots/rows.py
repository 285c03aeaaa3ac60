"""What pictures with one row for each variant have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from runner.compare.export.drawing import bare, color, write
from runner.compare.export.words import shortened
from runner.readout.course import Course
from runner.readout.numbers import figure, halves
from runner.wire.compare import Comparison, Estimate, VariantResult

_NAME_CHARACTERS = 18
_HALF = 0.31
"""Of a bar's height, in rows."""


def height(rows: int, around: int) -> int:
    """In pixels; `around` is what titles and axes take."""
    return 27 * rows + around


def prepare(
    axes: Axes, comparison: Comparison, variants: Sequence[VariantResult], has_names: bool = True
) -> None:
    """Names on the left, the first at the top, the recommended one emphasized."""
    bare(axes)
    axes.set_yticks([])
    # Without a label, whose place would be found by measuring all names.
    axes.yaxis.set_label_coords(0, 0)
    axes.set_ylim(len(variants) - 0.45, -0.55)
    if not has_names:
        return
    course = Course.of(comparison)
    letters = course.letters
    names = [f"{shortened(each.name, _NAME_CHARACTERS)}  {letters[each.name]}" for each in variants]
    axes.set_yticks(range(len(names)), names)
    for tick, variant in zip(axes.get_yticklabels(), variants, strict=True):
        if variant.name == course.choice:
            tick.set_color(color("accent"))
            tick.set_fontweight("bold")


def bars(axes: Axes, figures: Sequence[Estimate | None], role: str) -> None:
    """Horizontal bars with their 95 % intervals and figures; nothing where a figure is missing."""
    shown = {row: each for row, each in enumerate(figures) if each and each.value is not None}
    values = {row: each.value or 0.0 for row, each in shown.items()}
    around = [halves(each) or (0.0, 0.0) for each in shown.values()]
    draw_bars(axes, {row: (0.0, value) for row, value in values.items()}, role)
    axes.errorbar(list(values.values()), list(values), xerr=np.transpose(around), fmt="none",
                  ecolor=color("ink"), elinewidth=1.3, capsize=3)  # fmt: skip
    ends = [value + above for value, (_, above) in zip(values.values(), around, strict=True)]
    for (row, each), end in zip(shown.items(), ends, strict=True):
        write(axes, figure(each).value, (end, row), (5, 0), "ink", va="center")
    axes.set_xlim(0, max(ends, default=0.0) * 1.17 or 1.0)
    axes.xaxis.set_visible(False)


def draw_bars(axes: Axes, bars: Mapping[int, tuple[float, float]], role: str) -> None:
    """Start and length by row: one path, for matplotlib takes milliseconds for each."""
    corners = [
        ((start, row - _HALF), (start + length, row - _HALF), (start + length, row + _HALF),
         (start, row + _HALF), (start, row - _HALF))
        for row, (start, length) in bars.items()
    ]  # fmt: skip
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(bars)
    path = Path(np.reshape(corners, (-1, 2)), codes)
    axes.add_patch(PathPatch(path, facecolor=color(role), linewidth=0))
