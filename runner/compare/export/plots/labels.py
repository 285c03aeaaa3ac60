"""Where names beside points go, so that they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from runner.compare.export.drawing import color

_GAP = 8.0
_LETTER_WIDTH, _LINE_HEIGHT = 8.0, 15.0
"""Of the font that pictures use, in pixels: a little too wide, since browsers have other fonts."""

_Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def place(axes: Axes, points: Sequence[tuple[float, float, str, str]], radius: float) -> None:
    """Writes the name of each (x, y, name, role) where most of it is free: right, left, above or below. The
    last from left to right is the first to choose: of two that touch, names are on their own sides."""
    points = sorted(points, reverse=True)
    centers = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [(x - radius, y - radius, x + radius, y + radius) for x, y in centers]
    for (x, y), (_, _, name, role) in zip(centers, points, strict=True):
        boxes = _positions(x, y, len(name) * _LETTER_WIDTH, radius + _GAP)
        tried = list(boxes.values())
        # All are of the same size: what is inside the frame says what is not.
        cost = _shared(tried, taken) - 10 * _shared(tried, axes.bbox.extents)
        best = list(boxes)[int(np.argmin(cost.round()))]
        left, bottom, right, top = boxes[best]
        taken.append(boxes[best])
        anchor = {"left": left, "right": right, "center": (left + right) / 2}[best[0]]
        # What lies below, lines of the grid and the front, must not strike it through.
        ground = {"facecolor": color("card"), "linewidth": 0, "pad": 1.0, "alpha": 0.85}
        axes.annotate(name, (anchor, (bottom + top) / 2), xycoords="figure pixels", ha=best[0],
                      va="center_baseline", color=color(role), fontsize=13, bbox=ground,
                      weight="bold" if role == "accent" else "normal", zorder=3.5)  # fmt: skip


def _positions(x: float, y: float, width: float, away: float) -> dict[tuple[str, str], _Box]:
    """By alignment, in the order of preference."""
    half = _LINE_HEIGHT / 2
    starts = {"left": x + away, "right": x - away - width, "center": x - width / 2}
    middles = {"beside": y, "above": y + away + 3, "below": y - away - 3}
    order = (("left", "beside"), ("right", "beside"), ("center", "above"), ("center", "below"),
             ("left", "above"), ("left", "below"), ("right", "below"))  # fmt: skip
    return {
        (across, up): (starts[across], middles[up] - half, starts[across] + width, middles[up] + half)
        for across, up in order
    }


def _shared(boxes: Sequence[_Box], others: ArrayLike) -> NDArray[np.float64]:
    """Area of each box that `others` cover, in pixels."""
    ours, theirs = np.asarray(boxes)[:, None], np.reshape(others, (1, -1, 4))
    size = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    covered: NDArray[np.float64] = size.clip(0).prod(axis=-1).sum(axis=-1)
    return covered
