"""Quality against memory: the picture that decides. Names cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from runner.compare.export.drawing import NARROW, as_svg, bare, color, figure, plain_log, settle, write
from runner.compare.export.words import context, shortened, unit
from runner.compare.tiers import TIERS
from runner.readout.course import Course
from runner.readout.numbers import bytes_text
from runner.readout.table import memory_bytes
from runner.wire.compare import Comparison

_RADIUS = 4.5
_NAME_CHARACTERS = 22
_GAP = 8.0
_LETTER_WIDTH, _LINE_HEIGHT = 8.0, 15.0
"""Of the font that pictures use, in pixels: a little too wide, since browsers have other fonts."""

_Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True, slots=True)
class _Point:
    """A variant in the picture: memory in `words.unit`, KL divergence with its interval."""

    name: str
    memory: float
    kld: float
    low: float
    high: float
    role: str
    fits: bool


def tradeoff(comparison: Comparison, width: int, css: str = "") -> Markup | None:
    """KL divergence (logarithmic, with 95 % intervals) against memory; None without two measured figures."""
    points = _points(comparison)
    if not points:
        return None
    with figure(width, 400 if width == NARROW else 500) as drawing:
        axes = drawing.add_subplot()
        bare(axes, grid="y")
        _frame(axes, comparison, points)
        _ties(axes, comparison, points)
        _join(axes, points, comparison.pareto, color=color("ink"), linewidth=1.4, alpha=0.45, zorder=2)
        for role, fits in dict.fromkeys((point.role, point.fits) for point in points):
            _mark(axes, [each for each in points if (each.role, each.fits) == (role, fits)])
        if width != NARROW:
            _tiers(axes)
        settle(drawing)
        labels = [(p.memory, p.kld, shortened(p.name, _NAME_CHARACTERS), p.role) for p in points]
        _place(axes, labels, _RADIUS + 3)
        label = "KL divergence against memory of each variant; the table has the same figures"
        return as_svg(drawing, "tradeoff", label, css)


def _points(comparison: Comparison) -> list[_Point]:
    course, scale = Course.of(comparison), unit(comparison).scale
    limit = course.memory_limit_bytes
    points = []
    for each in comparison.variants:
        kld = each.quality.kld_mean if each.quality else None
        if each.memory is None or kld is None or kld.value is None or kld.value <= 0:
            continue
        memory = memory_bytes(each)
        fits = limit is None or memory <= limit
        is_best = fits and each.name in course.front
        role = "accent" if each.name == course.choice else "ink" if is_best else "muted"
        low, high = (kld.value if bound is None else bound for bound in (kld.low, kld.high))
        # An interval that reaches 0 has no lower end on this axis.
        low = max(low, kld.value / 10)
        points.append(_Point(each.name, memory / scale, kld.value, low, high, role, fits))
    return points


def _frame(axes: Axes, comparison: Comparison, points: Sequence[_Point]) -> None:
    in_unit = unit(comparison)
    smallest, largest = (pick(point.memory for point in points) for pick in (min, max))
    room = max(largest - smallest, largest * 0.1) * 0.16
    left, right = max(0.0, smallest - room), largest + room
    axes.set_ylim(min(p.low for p in points) / 1.6, max(p.high for p in points) * 1.7)
    plain_log("y", axes)
    axes.set_xlabel(f"memory with {context(comparison.context)} context, {in_unit.name}")
    axes.set_title("KL divergence, nats (lower is better)", pad=10)
    _noise(axes, comparison)
    limit = comparison.memory_limit_bytes
    if limit is not None:
        at, text = limit / in_unit.scale, bytes_text(limit)
        right = max(right, at + room) if at < right + 3 * room else right
        _limit(axes, at, right, text)
    axes.set_xlim(left, right)


def _noise(axes: Axes, comparison: Comparison) -> None:
    """Shades what may be the machine's own: three times the reference against itself."""
    low, high = axes.get_ylim()
    top = 3 * ((comparison.noise_floor and comparison.noise_floor.value) or 0.0)
    if top > low:
        axes.axhspan(low, min(top, high), facecolor=color("muted"), alpha=0.13, linewidth=0)
        write(axes, "noise of this machine", (0, low), (4, 4), "muted", xycoords=("axes fraction", "data"))


def _limit(axes: Axes, at: float, right: float, text: str) -> None:
    """Shades what does not fit; says so where all that is in the picture does."""
    if at >= right:
        words, place = f"all of this fits: {text} are there", (0.995, 0.98)
        write(axes, words, place, (0, 0), "muted", xycoords="axes fraction", ha="right", va="top")
        return
    axes.axvspan(at, right * 2, facecolor=color("muted"), alpha=0.13, linewidth=0)
    axes.axvline(at, color=color("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    words, across = f"does not fit: {text} are there", ("data", "axes fraction")
    write(axes, words, (at, 0.98), (4, 0), "muted", xycoords=across, rotation=270, va="top")


def _tiers(axes: Axes) -> None:
    """What the divergence means, in words, between dotted lines."""
    low, high = axes.get_ylim()
    bounds = [low, *(limits.kld for limits in TIERS.values()), high]
    for word, start, end in zip((*TIERS, "broken"), [0.0, *bounds[1:-1]], bounds[1:], strict=True):
        bottom, top = max(start, low), min(end, high)
        if top / bottom < 1.35:
            continue
        if start > low:
            axes.axhline(start, color=color("muted"), linewidth=0.9, linestyle=(0, (1, 3)))
        middle = (bottom * top) ** 0.5
        write(axes, word, (1.0, middle), (8, 0), "muted", xycoords=("axes fraction", "data"), va="center")


def _ties(axes: Axes, comparison: Comparison, points: Sequence[_Point]) -> None:
    """A broad band through variants that the measurement cannot tell apart."""
    for group in comparison.ties:
        _join(
            axes, points, group, color=color("c1"), linewidth=30, alpha=0.22, solid_capstyle="round", zorder=1
        )


def _join(axes: Axes, points: Sequence[_Point], names: Sequence[str], **style: Any) -> None:
    """A line through those of the points, from left to right."""
    joined = sorted((point.memory, point.kld) for point in points if point.name in names)
    if len(joined) > 1:
        axes.plot(*zip(*joined, strict=True), **style)


def _mark(axes: Axes, points: Sequence[_Point]) -> None:
    """Of one role, that all fit or not."""
    shade = color(points[0].role)
    x, y = [point.memory for point in points], [point.kld for point in points]
    below, above = [point.kld - point.low for point in points], [point.high - point.kld for point in points]
    axes.errorbar(
        x, y, yerr=[below, above], fmt="o", color=shade, markersize=2 * _RADIUS, zorder=4,
        markerfacecolor=shade if points[0].fits else color("card"), elinewidth=1.6, capsize=4.5, capthick=1.6,
    )  # fmt: skip
    if points[0].role == "accent":
        axes.plot(x, y, "o", markersize=2 * _RADIUS + 9, markerfacecolor="none",
                  markeredgecolor=shade, markeredgewidth=1.6, zorder=4)  # fmt: skip


def _place(axes: Axes, points: Sequence[tuple[float, float, str, str]], radius: float) -> None:
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
