"""`pull`, `verify`: long work with progress."""

from __future__ import annotations

from typing import Annotated

from runner.cli import human, output, progress
from runner.cli.arguments import argument, option
from runner.cli.models import Name
from runner.cli.session import Session, client_command
from runner.text import typed_path

Alias = Annotated[str | None, option("--as", "NAME", "Name of the new local model.")]


@client_command
async def pull(
    session: Session,
    name: Annotated[str, argument("NAME", "As smollm2:135m, user/repository:Q4_K_M or ./file.gguf.")],
    alias: Alias = None,
) -> None:
    """Get a model from the catalog, a hub or a file."""
    async with session.client() as client:
        model = (await progress.follow(client.pull(as_request(name), alias))).model
    output.say(f"pulled {model.name}, {human.size(model.size_bytes)}")


def as_request(name: str) -> str:
    """`name` as the daemon understands it: its working directory is another one. Raises InvalidName."""
    from modelstore.names import LocalFile, parse

    if isinstance(parse(name), LocalFile):
        return str(typed_path(name))
    return name


@client_command
async def verify(session: Session, model: Name) -> None:
    """Read a model's files again and compare them with their digests."""
    async with session.client() as client:
        checked = (await progress.follow(client.verify(model))).model
    output.say(f"{checked.name} is intact: {checked.digest}")
