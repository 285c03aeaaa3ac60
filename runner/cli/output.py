"""What commands print: data to stdout, talk to stderr, untrusted text cleaned."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from runner.text import clean, clean_name

if TYPE_CHECKING:
    from modelstore.errors import NybbleError

_GAP = "    "


def has_live_terminal() -> bool:
    """Whether stderr can show something that changes."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """A sentence for the person at the terminal, whose lines end between words."""
    lines = clean(text).split("\n")
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        lines = [textwrap.fill(line, width, break_long_words=False) for line in lines]
    typer.echo("\n".join(lines), err=True)


def report(error: NybbleError) -> None:
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def write(text: str) -> None:
    typer.echo(clean(text))


def write_json(value: Any) -> None:
    """`value` may have wire types in it."""
    # ASCII: control characters of untrusted text stay escaped.
    typer.echo(json.dumps(value, indent=2, default=lambda model: model.model_dump(mode="json")))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; nothing but the header if there are no rows."""
    typer.echo(_aligned([columns, *rows]))


def write_wide_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As `write_table`; in a terminal that is too narrow for that, the cells of a row below each other."""
    table = _aligned([columns, *rows])
    if sys.stdout.isatty() and max(map(len, table.split("\n"))) > shutil.get_terminal_size().columns:
        table = "\n\n".join(_aligned(list(zip(columns, row, strict=True))) for row in rows)
    typer.echo(table)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    cells = [[clean_name(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (_GAP.join(map(str.ljust, row, widths)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
