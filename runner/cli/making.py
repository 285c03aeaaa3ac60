"""`quantize`, `imatrix`: other files of a model, some of them measured while they are made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli import human, output, progress
from runner.cli.arguments import argument, flag, numbers, option, parsed
from runner.cli.jobs import Alias
from runner.cli.models import Name
from runner.cli.session import Json, Session, client_command
from runner.text import typed_path

if TYPE_CHECKING:
    from runner.wire import JobDone

_EXPERIMENT = "Leave layers out, counted from 0: an experiment, whose cost is measured."


@client_command
async def quantize(  # noqa: PLR0913 (typer: one for each option)
    session: Session,
    model: Name,
    quantization: Annotated[str | None, argument("TYPE", "Any llama.cpp type, as Q4_K_M.")] = None,
    fit: Annotated[
        str | None, option("--fit", "SIZE", "Instead: the best mixture of this size, as 5.5GB.")
    ] = None,
    min_tps: Annotated[
        float | None, option("--min-tps", "N", "With --fit: decode at least so many tok/s.", min=0.01)
    ] = None,
    imatrix: Annotated[
        str | None, option("--imatrix", "FILE|auto", "Weigh errors by an importance matrix.")
    ] = None,
    prune_layers: Annotated[str | None, option("--prune-layers", "N,N", _EXPERIMENT)] = None,
    effort: Annotated[str, option("--effort", "quick|standard|deep", "How much is measured.")] = "standard",
    alias: Alias = None,
    force: Annotated[
        bool, flag("--force", "Also from a source of 4 bits or less, which loses quality twice.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a quantization of a model, or the best mixture for a size."""
    from runner import config_values
    from runner.wire import QuantizeRequest

    request = QuantizeRequest.model_validate(
        {
            "name": model,
            "quantization": quantization,
            "alias": alias,
            "force": force,
            "imatrix": imatrix if imatrix in (None, "auto") else str(_file("--imatrix", imatrix)),
            "prune_layers": parsed("--prune-layers", numbers, prune_layers) or [],
            "budget_bytes": parsed("--fit", _budget, fit),
            "min_tps": min_tps,
            "effort": parsed("--effort", config_values.choice("quick", "standard", "deep"), effort),
        }
    )
    async with session.client() as client:
        done = await progress.follow(client.quantize(request))
    made = done.model
    _write(done, json)
    holds = made.quantization or quantization or "a mixture"
    if quantization and holds != quantization.upper():
        holds += f" for the most part: its rows do not fill blocks of {quantization.upper()}"
    output.say(f"made {made.name}, {human.size(made.size_bytes)}, {holds}")


@client_command
async def imatrix(
    session: Session,
    model: Name,
    text: Annotated[str | None, option("--text", "FILE", "Read this instead of nybble's own texts.")] = None,
    chunks: Annotated[int, option("--chunks", "N", "Most pieces of 512 tokens to read.", min=1)] = 64,
    file: Annotated[str | None, option("-o --output", "FILE", "Where to write it.")] = None,
    json: Json = False,
) -> None:
    """Collect an importance matrix: which weights a model uses most. In llama.cpp's format."""
    from runner.wire import ImatrixRequest

    read = None if text is None else _file("--text", text).read_text(encoding="utf-8", errors="replace")
    request = ImatrixRequest(name=model, text=read, chunks=chunks)
    async with session.client() as client:
        done = await progress.follow(client.imatrix(request))
    _write(done if file is None else _copied(done, file), json)


def _copied(done: JobDone, file: str) -> JobDone:
    shutil.copyfile(done.file or "", file)
    return done.model_copy(update={"file": str(Path(file).absolute())})


def _write(done: JobDone, json: bool) -> None:
    if json:
        output.write_json(done)
        return
    for note in done.notes:
        output.write(note)
    if done.file is not None:
        output.write(done.file)


def _budget(text: str) -> int:
    from runner import config_values

    if not (size_bytes := config_values.size(text)):
        raise ValueError("expects a size above 0")
    return size_bytes


def _file(option: str, name: str) -> Path:
    path = typed_path(name)
    if not path.is_file():
        raise typer.BadParameter(f"there is no file {name}", param_hint=option)
    return path
