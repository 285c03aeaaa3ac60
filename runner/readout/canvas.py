"""Axes and a canvas of characters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from runner.readout.numbers import rounded
from runner.readout.span import Line, Role, Span

_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values from `low` to `high` to `cells` cells, by their logarithm if `is_log`."""

    low: float
    high: float
    cells: int
    is_log: bool = False

    def cell(self, value: float) -> int:
        """Values beyond the ends are put on them."""
        if self.is_log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        share = (value - low) / (high - low)
        return round(min(1.0, max(0.0, share)) * (self.cells - 1))

    def ticks(self, most: int) -> dict[int, str]:
        """Labels by cell, at round values, about `most` of them."""
        values = self._decades(most) if self.is_log else self._even(most)
        return {self.cell(value): _label(value) for value in values}

    def _decades(self, most: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            values = [step * 10.0**decade for decade in decades for step in steps]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= most:
                return inside
        return inside[:: math.ceil(len(inside) / most)]

    def _even(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        scale = 10.0 ** math.floor(math.log10(rough))
        step = next(step * scale for step in _STEPS if step * scale >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


def _label(value: float) -> str:
    text = rounded(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(slots=True)
class Canvas:
    """Row 0 is at the top. What is drawn later covers what was there."""

    width: int
    height: int
    _cells: dict[tuple[int, int], Span] = field(default_factory=dict)

    def put(self, column: int, row: int, text: str, role: Role) -> None:
        for offset, character in enumerate(text):
            self._cells[column + offset, row] = Span(character, role)

    def is_free(self, column: int, row: int, length: int) -> bool:
        """Whether `length` cells are inside and have nothing but the line of the front on them."""
        spans = [self._cells.get((column + offset, row)) for offset in range(length)]
        fits = column >= 0 and column + length <= self.width
        return fits and all(span is None or span.role == "dim" for span in spans)

    def line(self, row: int) -> Line:
        return tuple(self._cells.get((column, row), Span(" ")) for column in range(self.width))
