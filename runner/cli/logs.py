"""`logs`: what the daemon wrote."""

from __future__ import annotations

from typing import Annotated

from runner.cli import output
from runner.cli.arguments import flag, option


def logs(
    lines: Annotated[int, option("-n --lines", "LINES", "How many of the last lines.", min=0)] = 50,
    follow: Annotated[bool, flag("-f --follow", "Go on as lines arrive.")] = False,
) -> None:
    """Print the daemon's log."""
    from runner import logs as log
    from runner import paths

    file = paths.resolve().log_file
    if not file.exists():
        output.say(f"no daemon has written to {file} yet")
    for line in log.follow(file, lines) if follow else log.tail(file, lines):
        output.write(line)
