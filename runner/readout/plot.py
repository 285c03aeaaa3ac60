"""KL divergence against memory, speed or size in characters: a letter for each variant, a bar for its 95 %
interval, and the front. A plotting library would bring a canvas and colours of its own for a dozen points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from runner.readout.canvas import Axis, Canvas
from runner.readout.course import Course
from runner.readout.numbers import ByteUnit, byte_unit, half_width
from runner.readout.span import Line, Role, Span
from runner.readout.table import memory_bytes, speed_of
from runner.text import clean_name
from runner.wire.compare import VariantResult

_GUTTER = 8
"""Cells for the labels of the vertical axis, and the axis."""
_AROUND = 3
"""Lines for the title, the horizontal axis and its labels."""
_FITS = "fits ◂"
_LEAST_WIDTH, _LEAST_HEIGHT = 30, 8

Measure = Literal["memory", "speed", "size"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
"""What KL divergence can be drawn against."""

_VALUES: dict[Measure, Callable[[VariantResult], float | None]] = {
    "memory": memory_bytes,
    "speed": lambda row: speed.value if (speed := speed_of(row, "decode_tps")) else None,
    "size": lambda row: row.size_bytes,
}


@dataclass(frozen=True, slots=True)
class Point:
    """`across` in bytes or tokens a second. `kld` is 0 for the reference; `half_width` is that of the 95 %
    interval."""

    letter: str
    name: str
    across: float
    kld: float
    half_width: float
    role: Role


@dataclass(frozen=True, slots=True)
class _Placed:
    point: Point
    column: int
    row: int


def points(course: Course, against: Measure = "memory") -> list[Point]:
    """The reference, and the variants with a KL divergence, as far as the other measure is known."""
    found = []
    for variant in course.variants:
        across = _VALUES[against](variant)
        estimate = variant.quality.kld_mean if variant.quality else None
        is_reference = variant.name == course.reference
        kld = 0.0 if is_reference else estimate.value if estimate else None
        if across is None or kld is None or (kld <= 0 and not is_reference):
            continue
        half = (half_width(estimate) or 0.0) if estimate and not is_reference else 0.0
        is_choice, is_on_front = variant.name == course.choice, variant.name in course.front
        role: Role = "choice" if is_choice else "front" if is_on_front else "plain"
        place = (course.letters[variant.name], clean_name(variant.name), across)
        found.append(Point(*place, kld, half, role))
    return found


def plot(course: Course, width: int, height: int, against: Measure = "memory") -> list[Line]:
    """`height` lines of at most `width` cells; none if there is too little to see, or no room for it."""
    shown = points(course, against)
    measured = [point for point in shown if point.kld > 0]
    if len(measured) < 2 or width < _LEAST_WIDTH or height < _LEAST_HEIGHT:
        return []
    canvas = Canvas(width - _GUTTER, height - _AROUND)
    sizes = (round(point.across) for point in shown)
    unit = ByteUnit("tok/s", 1) if against == "speed" else byte_unit(sizes)
    across = _across_axis(shown, unit, canvas.width)
    # A logarithm has no zero: the last row is the reference's, the one above stays empty.
    up = _kld_axis(measured, canvas.height - 2)
    placed = [
        _Placed(
            point,
            across.cell(point.across / unit.scale),
            up.cells - 1 - up.cell(point.kld) if point.kld else canvas.height - 1,
        )
        for point in shown
    ]
    if against == "memory" and (limit := course.memory_limit_bytes) is not None:
        _draw_limit(canvas, across, limit / unit.scale)
    # Where more is better, the line would run the other way.
    if against != "speed":
        _draw_front(canvas, placed)
    _draw_bars(canvas, placed, up)
    _draw_points(canvas, placed)
    return [
        (Span("KL divergence, nats, log scale; less is better", "head"),),
        *_rows(canvas, up),
        *_across_labels(across, f"{against}, {unit.name} →"),
    ]


def _across_axis(shown: Sequence[Point], unit: ByteUnit, cells: int) -> Axis:
    """With a little room at both ends, more on the right: names stand there."""
    sizes = [point.across / unit.scale for point in shown]
    low, high = min(sizes), max(sizes)
    room = (high - low) or max(high, 1e-9)
    return Axis(max(0.0, low - 0.06 * room), high + 0.14 * room, cells)


def _kld_axis(measured: Sequence[Point], cells: int) -> Axis:
    """An interval that reaches zero goes to the bottom, not to minus infinity."""
    least = min(point.kld for point in measured)
    low = min(max(point.kld - point.half_width, least / 2) for point in measured)
    high = max(point.kld + point.half_width for point in measured)
    return Axis(low, max(high, low * 1.5), cells, is_log=True)


def _draw_limit(canvas: Canvas, across: Axis, limit: float) -> None:
    """What is to the right of it does not fit this machine."""
    if across.low < limit < across.high:
        column = across.cell(limit)
        for row in range(canvas.height):
            canvas.put(column, row, "╎", "dim")
        canvas.put(max(0, column - len(_FITS)), 0, _FITS, "dim")


def _draw_front(canvas: Canvas, placed: Sequence[_Placed]) -> None:
    """Steps to the right and down through those on the front that no smaller one undercuts."""
    best: _Placed | None = None
    on_front = [each for each in placed if each.point.role in ("front", "choice")]
    for each in sorted(on_front, key=lambda each: (each.column, -each.row)):
        if best is not None and each.row <= best.row:
            continue
        if best is not None:
            canvas.put(best.column, best.row, "┄" * (each.column - best.column), "dim")
            for row in range(best.row, each.row):
                canvas.put(each.column, row, "┐" if row == best.row else "┆", "dim")
        best = each


def _draw_bars(canvas: Canvas, placed: Sequence[_Placed], up: Axis) -> None:
    for each in placed:
        point = each.point
        if point.kld:
            ends = (up.cell(point.kld - point.half_width), up.cell(point.kld + point.half_width))
            for cell in range(ends[0], ends[1] + 1):
                canvas.put(each.column, up.cells - 1 - cell, "│", point.role)


def _draw_points(canvas: Canvas, placed: Sequence[_Placed]) -> None:
    """Letters first; then each name where there is room for it."""
    for each in placed:
        canvas.put(each.column, each.row, each.point.letter, each.point.role)
    for each in placed:
        name = each.point.name
        for column in (each.column + 2, each.column - len(name) - 1):
            if canvas.is_free(column - 1, each.row, len(name) + 2):
                canvas.put(column - 1, each.row, f" {name} ", each.point.role)
                break


def _rows(canvas: Canvas, up: Axis) -> list[Line]:
    ticks = up.ticks(max(2, up.cells // 2)).items()
    # A label of a million nats would not fit.
    labels = {up.cells - 1 - cell: label for cell, label in ticks if len(label) <= _GUTTER - 2}
    labels[canvas.height - 1] = "0"
    return [
        (
            Span(labels.get(row, "").rjust(_GUTTER - 2) + (" ┤" if row in labels else " │"), "dim"),
            *canvas.line(row),
        )
        for row in range(canvas.height)
    ]


def _across_labels(across: Axis, title: str) -> list[Line]:
    """The axis with its labels; `title` at the right end."""
    ticks = across.ticks(max(2, across.cells // 10))
    axis = "".join("┬" if cell in ticks else "─" for cell in range(across.cells))
    labels = [" "] * across.cells
    for cell, label in ticks.items():
        start = cell - len(label) // 2
        if start >= 0 and cell + len(label) < across.cells - len(title):
            labels[start : start + len(label)] = label
    text = "".join(labels)[: across.cells - len(title)] + title
    indent = " " * (_GUTTER - 1)
    return [(Span(f"{indent}└{axis}", "dim"),), (Span(f"{indent} {text}", "dim"),)]
