"""`ps`, `stop`: models in memory, and the daemon itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli import human, output
from runner.cli.arguments import argument, flag
from runner.cli.models import short_id
from runner.cli.session import Json, Session, client_command

if TYPE_CHECKING:
    from runner.wire import LoadedModel


@client_command
async def ps(session: Session, json: Json = False) -> None:
    """List the loaded models."""
    async with session.client() as client:
        models = await client.loaded()
    if json:
        output.write_json(models)
    elif not models:
        output.say("no model is loaded")
    else:
        columns = ("NAME", "ID", "MEMORY", "WEIGHTS", "THREADS", "CONTEXT", "SLOTS", "QUEUE", "UNTIL", "WHY")
        output.write_wide_table(columns, [_row(model) for model in models])


def _row(model: LoadedModel) -> tuple[str, ...]:
    return (
        f"{model.name} ({model.variant})" if model.variant else model.name,
        short_id(model.digest),
        human.size(model.memory_bytes or model.size_bytes),
        model.devices or "-",
        "-" if model.threads is None else str(model.threads),
        str(model.context_length),
        f"{model.busy_slots}/{model.slots} busy",
        str(model.waiting),
        _until(model),
        model.reason,
    )


def _until(model: LoadedModel) -> str:
    if model.state != "ready":
        return f"{model.state}…"
    return "in use" if model.busy_slots else human.until(model.expires_at)


@client_command
async def stop(
    session: Session,
    models: Annotated[list[str] | None, argument("MODEL", "Models to unload.")] = None,
    daemon: Annotated[bool, flag("--daemon", "Stop the daemon.")] = False,
) -> None:
    """Unload models when their requests are done, or stop the daemon."""
    if bool(models) == daemon:
        raise typer.BadParameter("give models to unload, or --daemon")
    if daemon:
        await _stop_daemon(session)
        return
    async with session.client() as client:
        for model in models or []:
            await client.stop(model)
            output.say(f"unloading {model}")


async def _stop_daemon(session: Session) -> None:
    from runner import launch

    client = await launch.find(session.paths)
    if client is None:
        output.say("no daemon runs")
        return
    async with client:
        drain_s = (await client.health()).drain_s
        await client.shutdown()
    await launch.wait_until_gone(session.paths, drain_s)
    output.say("the daemon has stopped")
