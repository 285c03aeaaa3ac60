"""`logs`: what the daemon wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli import output


def logs(
    lines: Annotated[
        int, typer.Option("-n", "--lines", metavar="LINES", min=0, help="How many of the last lines.")
    ] = 50,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines arrive.")] = False,
) -> None:
    """Print the daemon's log."""
    from runner import logs as log
    from runner import paths

    file = paths.resolve().log_file
    if not file.exists():
        output.say(f"no daemon has written to {file} yet")
    for line in log.follow(file, lines) if follow else log.tail(file, lines):
        output.write(line)
