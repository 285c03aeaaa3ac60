"""`pull`, `verify`, `quantize`: long work with progress."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from runner.cli import human, output, progress
from runner.cli.models import Name
from runner.cli.session import Session, client_command

Alias = Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name of the new local model.")]


@client_command
async def pull(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As smollm2:135m, user/repository:Q4_K_M or ./file.gguf.")
    ],
    alias: Alias = None,
) -> None:
    """Get a model from the catalog, a hub or a file."""
    async with session.client() as client:
        model = await progress.follow(client.pull(as_request(name), alias))
    output.say(f"pulled {model.name}, {human.size(model.size_bytes)}")


def as_request(name: str) -> str:
    """`name` as the daemon understands it: its working directory is another one. Raises InvalidName."""
    from modelstore.names import LocalFile, parse

    if isinstance(parse(name), LocalFile):
        return str(Path(name).expanduser().absolute())
    return name


@client_command
async def verify(session: Session, model: Name) -> None:
    """Read a model's files again and compare them with their digests."""
    async with session.client() as client:
        checked = await progress.follow(client.verify(model))
    output.say(f"{checked.name} is intact: {checked.digest}")


@client_command
async def quantize(
    session: Session,
    model: Name,
    quantization: Annotated[str, typer.Argument(metavar="TYPE", help="Any llama.cpp type, as Q4_K_M.")],
    alias: Alias = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also from a source of 4 bits or less, which loses quality twice.")
    ] = False,
) -> None:
    """Make a quantization of a local model."""
    from runner.wire import QuantizeRequest

    request = QuantizeRequest(name=model, quantization=quantization, alias=alias, force=force)
    async with session.client() as client:
        made = await progress.follow(client.quantize(request))
    output.say(f"made {made.name}, {human.size(made.size_bytes)}, {made.quantization or quantization}")
