"""`compare list`, `show` and `export`: comparisons that were kept, rendered again without any model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelstore.errors import UserError
from runner.cli import output
from runner.cli.arguments import argument, option
from runner.cli.session import Json, Session, client_command

if TYPE_CHECKING:
    from runner.client import Client
    from runner.wire.compare import Comparison

Which = Annotated[
    list[str], argument("ID", "Of `compare list`, or exported JSON files; several in one table.")
]


@client_command
async def list_comparisons(session: Session, json: Json = False) -> None:
    """List the comparisons that were measured here, newest first."""
    from runner.cli import human

    async with session.client() as client:
        found = await client.comparisons()
    if json:
        output.write_json(found)
        return
    rows = [
        (str(each.id), human.ago(each.created_at), each.model, each.reference, str(len(each.variants)),
         (each.choice or "-") if each.is_finished else "unfinished")
        for each in found if each.created_at
    ]  # fmt: skip
    output.write_table(("ID", "WHEN", "MODEL", "REFERENCE", "VARIANTS", "RECOMMENDED"), rows)
    for each in found:
        if each.problem:
            output.say(each.problem)


@client_command
async def show(session: Session, which: Which, json: Json = False) -> None:
    """Show a comparison again."""
    comparison = await _joined(session, which)
    if json:
        output.write_json(comparison)
        return
    from runner.cli.compare_output import write_result

    write_result(comparison)


@client_command
async def export(
    session: Session,
    which: Which,
    format_name: Annotated[str | None, option("--format", "FORMAT", "html, svg, md, csv or json.")] = None,
    file: Annotated[Path | None, option("-o --output", "FILE", "Instead of stdout.")] = None,
) -> None:
    """Write a report (html), picture (svg), card (md), csv or json.

    Without --format the ending of FILE decides; a report is one file that needs no network.
    """
    from runner.compare.export import FORMATS, render

    chosen = format_name or (file.suffix.removeprefix(".").lower() if file else "")
    if chosen not in FORMATS:
        raise typer.BadParameter(f"--format, or the ending of FILE: one of {', '.join(FORMATS)}")
    rendered = render(await _joined(session, which), chosen)
    if file is None:
        typer.echo(rendered, nl=False)
        return
    try:
        file.write_text(rendered, "utf-8", newline="\n")
    except OSError as error:
        raise UserError(
            f"cannot write {file}: {error}", hint="-o takes a file in a folder that exists"
        ) from None
    output.say(f"wrote {file}")


async def _joined(session: Session, which: list[str]) -> Comparison:
    from runner.compare.joining import joined

    if not any(each.isdecimal() for each in which):
        return joined([_read(Path(each)) for each in which])
    async with session.client() as client:
        return joined([await _one(client, each) for each in which])


async def _one(client: Client, which: str) -> Comparison:
    return await client.comparison(int(which)) if which.isdecimal() else _read(Path(which))


def _read(file: Path) -> Comparison:
    """Raises UserError."""
    from runner.wire.compare import Comparison

    try:
        content = json.loads(file.read_bytes(), parse_float=_finite, parse_constant=_finite)
        return Comparison.model_validate(content)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error}", hint="`nybble compare list` shows the IDs") from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{file} is no exported comparison", hint="`compare export ID --format json`"
        ) from None


def _finite(text: str) -> float:
    """What every reader of a comparison expects of its numbers."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number
