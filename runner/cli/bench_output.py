"""What `bench` shows: progress on stderr, tables on stdout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runner.bench.against import changes, differences
from runner.bench.progress import Report
from runner.cli import human, output

if TYPE_CHECKING:
    from rich.status import Status

    from runner.bench.against import Change
    from runner.bench.figures import Figure
    from runner.bench.runs import Run


class _Lines(Report):
    """A line for each test."""

    def begin(self, test: str) -> None:
        output.say(test)


class _Live(Report):
    """One line that changes."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self._status = status
        self._test = ""

    def begin(self, test: str) -> None:
        self._test = test
        self._status.update(test)

    def repeated(self, result: str) -> None:
        self._status.update(f"{self._test}: {result}")


@contextmanager
def progress() -> Iterator[Report]:
    if not output.has_live_terminal():
        yield _Lines()
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False).status("") as status:
        yield _Live(status)


def write_run(run: Run) -> None:
    """A figure a line."""
    rows = [
        (
            figure.name,
            _amount(figure),
            " and ".join(map(str, figure.threads)) or "-",
            "disturbed" if figure.disturbed else "",
        )
        for figure in run.figures
    ]
    output.write_table(("TEST", "RESULT", "THREADS", ""), rows)


def write_comparison(before: Run, now: Run) -> None:
    """Differences of the setup to stderr, all figures of both runs to stdout."""
    for difference in differences(before, now):
        output.say(f"not the same as in run {before.number}: {difference}")
    if before.disturbed:
        output.say(f"run {before.number} was disturbed: `nybble bench --history --json` has its warnings")
    rows = [
        (change.now.name, _value(change.before), _amount(change.now), _verdict(change))
        for change in changes(before, now)
    ]
    output.write_table(("TEST", f"RUN {before.number}", "NOW", "CHANGE"), rows)


def write_history(runs: list[Run]) -> None:
    rows = [
        (
            f"{run.number}{' *' if run.disturbed else ''}",
            human.ago(run.at),
            run.model,
            run.setup["threads"],
            ", ".join(f"{figure.name} {_number(figure.value)}" for figure in run.figures[:2]),
        )
        for run in runs
    ]
    output.write_table(("RUN", "WHEN", "MODEL", "THREADS", "TOK/S"), rows)
    if any(run.disturbed for run in runs):
        output.say("* disturbed: others took cores that were needed")


def _verdict(change: Change) -> str:
    if change.verdict == "disturbed":
        return change.verdict
    return f"{change.fraction:+.1%}" + (f", {change.verdict}" if change.verdict else "")


def _amount(figure: Figure) -> str:
    return f"{_value(figure)} {figure.unit}"


def _value(figure: Figure) -> str:
    return _number(figure.value) + ("" if figure.spread is None else f" ± {_number(figure.spread)}")


def _number(value: float) -> str:
    """About four digits."""
    return f"{value:.{0 if value >= 1000 else 1 if value >= 10 else 2}f}"
