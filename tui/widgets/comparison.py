"""A comparison: the table that fills, how far it is, the plot and the recommendation."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from runner.readout.course import Course
from runner.readout.plot import plot
from runner.readout.span import Line, Span
from runner.readout.table import LEGEND, table
from runner.readout.verdict import notes, progress_share, progress_words, recommendation
from tui.comparing import Comparing
from tui.keys import bindings, first_key
from tui.widgets.paint import painted
from tui.wording import bar, failure

_PLOT_WIDTH, _PLOT_HEIGHT = 64, 17
_WORDS_WIDTH = 34
"""The least that sentences need beside the plot; with less they stand below."""


class ComparisonView(VerticalScroll, can_focus=True):
    BINDINGS = bindings("Comparison")

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._comparing = Comparing()
        self._table = Static(classes="table", markup=False)
        self._course = Static(classes="course", markup=False)
        self._plot = Static(classes="plot", markup=False)
        self._verdict = Static(classes="verdict", markup=False)
        self._notes = Static(classes="notes", markup=False)

    def compose(self) -> ComposeResult:
        yield self._table
        yield self._course
        with Horizontal(classes="findings"):
            yield self._verdict
            yield self._plot
        yield self._notes

    def show(self, comparing: Comparing) -> None:
        if comparing != self._comparing:
            self._comparing = comparing
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        course, width = self._comparing.shown, self.scrollable_content_region.width
        if course is None or not width:
            return
        _fill(self._table, _table(course, width))
        self._course.display = course.comparison is None
        self._course.update(_course(self._comparing, course))
        drawn = plot(course, min(width, _PLOT_WIDTH), _PLOT_HEIGHT)
        _fill(self._plot, drawn)
        found = course.comparison.recommendation if course.comparison else None
        _fill(self._verdict, _spaced(recommendation(found)) if found else [])
        self.set_class(width < _PLOT_WIDTH + _WORDS_WIDTH, "-stacked")
        _fill(self._notes, notes(course))


def _fill(widget: Static, lines: list[Line]) -> None:
    widget.display = bool(lines)
    widget.update(painted(lines))


def _table(course: Course, width: int) -> list[Line]:
    lines = table(course, width)
    return [*lines, (Span(LEGEND, "dim"),)] if lines else []


def _spaced(lines: list[Line]) -> list[Line]:
    """With an empty line between paragraphs."""
    return [line for paragraph in lines for line in (paragraph, ())][:-1]


def _course(comparing: Comparing, course: Course) -> Content:
    """How far it is, or how it ended."""
    if comparing.error is not None:
        reason, hint = failure(comparing.error)
        lines = [Content(f"✕ {reason}").stylize("$text-error")]
        lines += [Content(f"hint: {hint}").stylize("$foreground-muted")] if hint else []
        lines.append(Content(f"{first_key('compare.run')} goes on from here; nothing measured is lost."))
        return Content("\n").join(lines)
    if not comparing.is_running:
        return Content(f"Stopped. {first_key('compare.run')} goes on from here; nothing measured is lost.")
    share = progress_share(course)
    words = [bar(share)] if share is not None else []
    return Content("  ".join([*words, progress_words(course)])).stylize("$text-accent")
