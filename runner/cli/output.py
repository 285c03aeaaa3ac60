"""What commands print: data to stdout, talk to stderr, untrusted text cleaned."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from runner.text import clean, clean_name

if TYPE_CHECKING:
    from pydantic import BaseModel

    from modelstore.errors import NybbleError

_GAP = "    "


def has_live_terminal() -> bool:
    """Whether stderr can show something that changes."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def say(text: str) -> None:
    """A sentence for the person at the terminal."""
    typer.echo(clean(text), err=True)


def report(error: NybbleError) -> None:
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def write(text: str) -> None:
    typer.echo(clean(text))


def write_json(value: Any) -> None:
    """`value` may have wire types in it."""
    # ASCII: control characters of untrusted text stay escaped.
    typer.echo(json.dumps(value, indent=2, default=_fields))


def _fields(model: BaseModel) -> Any:
    return model.model_dump(mode="json")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; nothing but the header if there are no rows."""
    cells = [list(columns), *([clean_name(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        line = _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())
