"""Where names beside points go, so that they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from runner.compare.export.drawing import color

_GAP = 7.0
_LETTER_WIDTH, _LINE_HEIGHT = 7.4, 14.0
"""Of the font that pictures use, in pixels: a little too wide, since browsers have other fonts."""


def place(axes: Axes, points: Sequence[tuple[float, float, str, str]], radius: float) -> None:
    """Writes the name of each (x, y, name, role) where most of it is free: right, left, above or below."""
    centers = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in centers]
    for (x, y), (_, _, name, role) in zip(centers, points, strict=True):
        boxes = _positions(x, y, len(name) * _LETTER_WIDTH, radius + _GAP)
        best = min(boxes, key=lambda box: _covered(box, taken) + _outside(box, axes.bbox))
        taken.append(best)
        axes.annotate(name, (best.x0 + best.width / 2, best.y0 + best.height / 2), xycoords="figure pixels",
                      ha="center", va="center", color=color(role), fontsize=12,
                      weight="bold" if role == "accent" else "normal", zorder=6)  # fmt: skip


def _positions(x: float, y: float, width: float, away: float) -> list[Bbox]:
    """In the order of preference."""
    centers = (
        (x + away + width / 2, y), (x - away - width / 2, y), (x, y + away + 5), (x, y - away - 5),
        (x + away + width / 2, y + away), (x + away + width / 2, y - away), (x - away - width / 2, y - away),
    )  # fmt: skip
    half = (width / 2, _LINE_HEIGHT / 2)
    return [Bbox.from_extents(a - half[0], b - half[1], a + half[0], b + half[1]) for a, b in centers]


def _covered(box: Bbox, taken: Sequence[Bbox]) -> float:
    """Area of `box` that others cover, in pixels."""
    shared = (Bbox.intersection(box, other) for other in taken)
    return sum(both.width * both.height for both in shared if both)


def _outside(box: Bbox, frame: Bbox) -> float:
    inside = Bbox.intersection(box, frame)
    return 10 * (box.width * box.height - (inside.width * inside.height if inside else 0.0))
