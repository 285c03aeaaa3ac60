"""`list`, `show`, `rm`, `cp`: the local models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from runner.cli import human, output
from runner.cli.arguments import argument
from runner.cli.session import Json, Session, client_command
from runner.text import clean_name

if TYPE_CHECKING:
    from runner.wire import ModelDetail

Name = Annotated[str, argument("MODEL", "Name of a local model.")]
_ID_DIGITS = 12


def short_id(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_ID_DIGITS]


@client_command
async def list_models(session: Session, json: Json = False) -> None:
    """List the local models, newest first."""
    async with session.client() as client:
        models = await client.models()
    if json:
        output.write_json(models)
        return
    rows = [
        (model.name, short_id(model.digest), human.size(model.size_bytes), human.ago(model.modified_at))
        for model in models
    ]
    output.write_table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


@client_command
async def show(session: Session, model: Name, json: Json = False) -> None:
    """Show what is known of a model, with the paths of its files."""
    async with session.client() as client:
        detail = await client.show(model)
    if json:
        output.write_json(detail)
        return
    facts = [(name, value) for name, value in _facts(detail) if value]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        output.write(f"{name.ljust(width)}  {clean_name(value)}")


def _facts(model: ModelDetail) -> list[tuple[str, str]]:
    files = [(file.role, f"{file.path} ({human.size(file.size_bytes)})") for file in model.files]
    return [
        ("name", model.name),
        ("digest", model.digest),
        ("architecture", model.architecture or ""),
        ("parameters", human.count(model.parameter_count)),
        ("quantization", model.quantization or ""),
        ("context length", str(model.context_length or "")),
        ("embedding length", str(model.embedding_length or "")),
        ("chat template", "yes" if model.has_chat_template else "no: it continues text, and does not chat"),
        ("license", model.license or ""),
        ("source", model.source),
        ("derived from", model.derived_from or ""),
        ("modified", human.ago(model.modified_at)),
        *files,
    ]


@client_command
async def remove(
    session: Session, models: Annotated[list[str], argument("MODEL", "Names of local models.")]
) -> None:
    """Remove models. Weights that another name uses stay."""
    async with session.client() as client:
        for model in models:
            result = await client.remove(model)
            output.say(f"removed {model}, freed {human.size(result.freed_bytes)}")


@client_command
async def copy(
    session: Session, source: Name, destination: Annotated[str, argument("NAME", "The new name.")]
) -> None:
    """Give a model a second name. Takes no space."""
    async with session.client() as client:
        await client.copy(source, destination)
    output.say(f"copied {source} to {destination}")
