"""Where names beside points go, so that they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from runner.compare.export.drawing import color

_GAP = 8.0
_LETTER_WIDTH, _LINE_HEIGHT = 8.0, 15.0
"""Of the font that pictures use, in pixels: a little too wide, since browsers have other fonts."""


def place(axes: Axes, points: Sequence[tuple[float, float, str, str]], radius: float) -> None:
    """Writes the name of each (x, y, name, role) where most of it is free: right, left, above or below. The
    last from left to right is the first to choose: of two that touch, names are on their own sides."""
    points = sorted(points, reverse=True)
    centers = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in centers]
    for (x, y), (_, _, name, role) in zip(centers, points, strict=True):
        boxes = _positions(x, y, len(name) * _LETTER_WIDTH, radius + _GAP)
        best = min(boxes, key=lambda align: _covered(boxes[align], taken) + _outside(boxes[align], axes.bbox))
        box = boxes[best]
        taken.append(box)
        anchor = {"left": box.x0, "right": box.x1, "center": (box.x0 + box.x1) / 2}[best[0]]
        # What lies below, lines of the grid and the front, must not strike it through.
        ground = {"facecolor": color("card"), "linewidth": 0, "pad": 1.0, "alpha": 0.85}
        axes.annotate(name, (anchor, box.y0 + box.height / 2), xycoords="figure pixels", ha=best[0],
                      va="center_baseline", color=color(role), fontsize=13, bbox=ground,
                      weight="bold" if role == "accent" else "normal", zorder=3.5)  # fmt: skip


def _positions(x: float, y: float, width: float, away: float) -> dict[tuple[str, str], Bbox]:
    """By alignment, in the order of preference."""
    half = _LINE_HEIGHT / 2
    starts = {"left": x + away, "right": x - away - width, "center": x - width / 2}
    middles = {"beside": y, "above": y + away + 3, "below": y - away - 3}
    order = (("left", "beside"), ("right", "beside"), ("center", "above"), ("center", "below"),
             ("left", "above"), ("left", "below"), ("right", "below"))  # fmt: skip
    return {
        (across, up): Bbox.from_bounds(starts[across], middles[up] - half, width, _LINE_HEIGHT)
        for across, up in order
    }


def _covered(box: Bbox, taken: Sequence[Bbox]) -> float:
    """Area of `box` that others cover, in pixels."""
    shared = (Bbox.intersection(box, other) for other in taken)
    return sum(both.width * both.height for both in shared if both)


def _outside(box: Bbox, frame: Bbox) -> float:
    inside = Bbox.intersection(box, frame)
    return 10 * (box.width * box.height - (inside.width * inside.height if inside else 0.0))
