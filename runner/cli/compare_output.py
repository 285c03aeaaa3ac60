"""What `compare` shows: what happens on stderr, the result on stdout."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from runner.cli import output
from runner.readout.course import Course
from runner.readout.numbers import bar
from runner.readout.plot import plot
from runner.readout.span import Line, Role, Span, plain
from runner.readout.table import LEGEND, table
from runner.readout.verdict import notes, progress_share, progress_words, recommendation

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text

    from runner.wire.compare import CompareEvent, Comparison

_COLORS: dict[Role, str] = {
    "plain": "",
    "strong": "bold",
    "dim": "dim",
    "head": "bold",
    "choice": "bold green",
    "front": "cyan",
    "warning": "yellow",
    "error": "bold red",
}
_REFRESHES_PER_S = 4
_PLOT_WIDTH, _PLOT_HEIGHT = 76, 18
_BAR_CELLS = 24
_STEP = 0.25
_PIPE_WIDTH = 200
"""Cells of a table that no terminal shows: every column."""


async def follow(events: AsyncGenerator[CompareEvent]) -> Comparison:
    """Show the comparison until it is done; raises what it raised."""
    from runner.errors import DaemonUnreachable

    async with aclosing(events):
        course = await (_live(events) if output.has_live_terminal() else _with_lines(events))
    if course.comparison is None:
        hint = "`nybble logs` says why; the same command goes on from there"
        raise DaemonUnreachable("the daemon ended the comparison without a result", hint=hint)
    return course.comparison


async def _live(events: AsyncGenerator[CompareEvent]) -> Course:
    """A table that fills while figures arrive, and intervals that shrink."""
    from rich.console import Console
    from rich.live import Live

    course = Course()
    console = Console(stderr=True, markup=False, highlight=False)
    with Live(
        get_renderable=lambda: _moving(course, console),
        console=console,
        refresh_per_second=_REFRESHES_PER_S,
        transient=True,
    ):
        async for event in events:
            course = course.after(event)
    return course


async def _with_lines(events: AsyncGenerator[CompareEvent]) -> Course:
    """A line for each phase, and each quarter of it."""
    course, phase, said = Course(), "", 0.0
    async for event in events:
        course = course.after(event)
        if event.type == "settled":
            output.say("the ranking will not change any more")
        elif event.type == "progress":
            share = progress_share(course) or 0.0
            if event.phase != phase or not said <= share < said + _STEP:
                phase, said = event.phase, share
                output.say(progress_words(course))
    return course


def _moving(course: Course, console: Console) -> Group:
    """The plot only where it leaves the table on the screen."""
    from rich.console import Group

    share = progress_share(course)
    drawn_share = "" if share is None else f"{bar(share, _BAR_CELLS)}  "
    lines = [*table(course, console.width), (), _dim(drawn_share + progress_words(course)), *notes(course)]
    left = console.height - len(lines) - 2
    drawn = plot(course, min(console.width, _PLOT_WIDTH), min(left, _PLOT_HEIGHT))
    return Group(*map(_painted, [*lines, *([()] if drawn else []), *drawn]))


def write_result(comparison: Comparison) -> None:
    """Table, notes, plot and recommendation; plain and wide where no terminal shows them."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    course = Course.of(comparison)
    width = console.width if console.is_terminal else _PIPE_WIDTH
    found = recommendation(comparison.recommendation) if comparison.recommendation else []
    drawn = plot(course, min(width, _PLOT_WIDTH), _PLOT_HEIGHT)
    blocks = [[*table(course, width), _dim(LEGEND)], notes(course), drawn, found]
    for number, block in enumerate(block for block in blocks if block):
        _write([(), *block] if number else block, console)


def _write(lines: Sequence[Line], console: Console) -> None:
    for line in lines:
        if console.is_terminal:
            console.print(_painted(line), soft_wrap=False)
        else:
            output.write(plain(line))


def _painted(line: Line) -> Text:
    from rich.text import Text

    return Text.assemble(*((span.text, _COLORS[span.role]) for span in line))


def _dim(text: str) -> Line:
    return (Span(text, "dim"),)
