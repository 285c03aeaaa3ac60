"""Progress of a job: a bar in a terminal, plain lines elsewhere; both on stderr."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from runner.cli import human
from runner.cli.output import has_live_terminal, say
from runner.text import clean_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from runner.wire import JobDone, JobProgress

_STEP = 0.1


async def follow(events: AsyncGenerator[JobProgress | JobDone]) -> JobDone:
    """Show the job until it is done; raises what the job raised."""
    async with aclosing(events):
        with _with_bar() if has_live_terminal() else _with_lines() as show:
            async for event in events:
                if event.type == "done":
                    return event
                show(event)
    from runner.errors import DaemonUnreachable

    raise DaemonUnreachable("the daemon ended the job without a result", hint="`nybble logs` says why")


@contextmanager
def _with_bar() -> Iterator[Callable[[JobProgress], None]]:
    from rich.console import Console

    phase, task = "", None

    def show(event: JobProgress) -> None:
        nonlocal phase, task
        completed, total = _amount(event)
        if total is None:
            if event.phase != phase or event.detail:
                bar.console.print(_describe(event))  # nothing to fill a bar with
            return
        if event.phase != phase or task is None:
            is_bytes = event.total_bytes is not None
            phase, task = event.phase, bar.add_task(_describe(event), total=total, is_bytes=is_bytes)
        bar.update(task, description=_describe(event), completed=completed)

    with _bar(Console(stderr=True, markup=False, highlight=False)) as bar:
        yield show


def _bar(console: Console) -> Progress:
    from rich import progress as rich
    from rich.table import Column
    from rich.text import Text

    class Amount(rich.DownloadColumn):
        def render(self, task: rich.Task) -> Text:
            steps = Text(f"{task.completed:.0f}/{task.total:.0f}")
            return super().render(task) if task.fields["is_bytes"] else steps

    class Speed(rich.TransferSpeedColumn):
        def render(self, task: rich.Task) -> Text:
            return super().render(task) if task.fields["is_bytes"] else Text()

    text = rich.TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    # Only the bar gives way, so that a file keeps its one line where the terminal is narrow.
    figures = (kind(table_column=Column(no_wrap=True)) for kind in (Amount, Speed, rich.TimeRemainingColumn))
    return rich.Progress(text, rich.BarColumn(bar_width=None), *figures, console=console)


@contextmanager
def _with_lines() -> Iterator[Callable[[JobProgress], None]]:
    """One for each phase, and for each tenth of it."""
    phase, shown = "", 0.0

    def show(event: JobProgress) -> None:
        nonlocal phase, shown
        completed, total = _amount(event)
        fraction = completed / total if total else 0.0
        if event.phase == phase and fraction < shown + _STEP:
            return
        phase, shown = event.phase, fraction
        of = human.size(total) if event.total_bytes else f"{total}"
        say(_describe(event) + (f" {fraction:.0%} of {of}" if total else ""))

    yield show


def _amount(event: JobProgress) -> tuple[int, int | None]:
    """What is done of what, in bytes or steps."""
    if event.total_bytes is not None:
        return event.completed_bytes or 0, event.total_bytes
    return event.completed or 0, event.total


def _describe(event: JobProgress) -> str:
    return clean_name(f"{event.phase} {event.detail}" if event.detail else event.phase)
