"""Progress of a job: a bar in a terminal, plain lines elsewhere; both on stderr."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from runner.cli import human
from runner.cli.output import has_live_terminal, say
from runner.text import clean_name

if TYPE_CHECKING:
    from runner.wire import JobDone, JobProgress, ModelInfo

_STEP = 0.1


async def follow(events: AsyncGenerator[JobProgress | JobDone]) -> ModelInfo:
    """Show the job until it is done; raises what the job raised."""
    async with aclosing(events):
        return await (_with_bar(events) if has_live_terminal() else _with_lines(events))


async def _with_bar(events: AsyncGenerator[JobProgress | JobDone]) -> ModelInfo:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, markup=False, highlight=False)) as bar:
        phase, task, model = "", None, None
        async for event in events:
            if event.type == "done":
                model = event.model
                continue
            if event.total_bytes is None:
                bar.console.print(_describe(event))  # nothing to fill a bar with
                continue
            if event.phase != phase or task is None:
                phase, task = event.phase, bar.add_task(_describe(event), total=event.total_bytes)
            bar.update(task, description=_describe(event), completed=event.completed_bytes or 0)
    return _result(model)


async def _with_lines(events: AsyncGenerator[JobProgress | JobDone]) -> ModelInfo:
    phase, shown, model = "", 0.0, None
    async for event in events:
        if event.type == "done":
            model = event.model
            continue
        fraction = (event.completed_bytes or 0) / event.total_bytes if event.total_bytes else 0.0
        if event.phase == phase and fraction < shown + _STEP:
            continue
        phase, shown = event.phase, fraction
        amount = f" {fraction:.0%} of {human.size(event.total_bytes)}" if event.total_bytes else ""
        say(_describe(event) + amount)
    return _result(model)


def _describe(event: JobProgress) -> str:
    return clean_name(f"{event.phase} {event.detail}" if event.detail else event.phase)


def _result(model: ModelInfo | None) -> ModelInfo:
    from runner.errors import DaemonUnreachable

    if model is None:
        raise DaemonUnreachable("the daemon ended the job without a result", hint="`nybble logs` says why")
    return model
