"""`bench`: how fast a model is on this computer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import output
from runner.cli.arguments import argument, flag, numbers, option, parsed
from runner.cli.session import Json, Session, client_command

if TYPE_CHECKING:
    from runner.bench.plan import Plan


@client_command
async def bench(  # noqa: PLR0913 (typer: one for each option)
    session: Session,
    model: Annotated[str | None, argument("MODEL", "Name of a local model.")] = None,
    prompt_tokens: Annotated[
        int | None, option("-p --prompt-tokens", "N", "Tokens to read: 512.", min=1)
    ] = None,
    generate_tokens: Annotated[
        int | None, option("-n --generate-tokens", "N", "To generate: 128.", min=1)
    ] = None,
    depths: Annotated[str | None, option("-d --depths", "N,N", "Tokens already there: 0,2048.")] = None,
    clients: Annotated[
        str | None, option("-c --clients", "N,N", "Requests at once: 1,2,4,8; 0 leaves that out.")
    ] = None,
    repetitions: Annotated[int | None, option("-r --repetitions", "N", "Of everything: 5.", min=1)] = None,
    quick: Annotated[
        bool, flag("--quick", "Where nothing else is said: -p 128 -n 32 -d 0 -c 1,4 -r 3.")
    ] = False,
    against: Annotated[
        str | None, option("--against", "RUN", "Compare with that run, or with the last.")
    ] = None,
    history: Annotated[bool, flag("--history", "List earlier runs instead.")] = False,
    json: Json = False,
) -> None:
    """Measure the engine as llama-bench does, and the daemon's speed."""
    if history:
        _list(session, model, json)
    elif model is None:
        raise typer.BadParameter("give a model, or --history")
    else:
        given = {
            "prompt_tokens": prompt_tokens,
            "generate_tokens": generate_tokens,
            "depths": _ascending("--depths", depths),
            "clients": _ascending("--clients", clients, least=1),
            "repetitions": repetitions,
        }
        await _measure(session, model, _plan(quick, given), against, json)


def _plan(quick: bool, given: dict[str, Any]) -> Plan:
    from runner.bench.plan import QUICK, Plan

    plan = QUICK if quick else Plan()
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


def _ascending(option: str, text: str | None, least: int = 0) -> tuple[int, ...] | None:
    """Different numbers, without those below `least`."""
    given = parsed(option, numbers, text)
    return None if given is None else tuple(sorted({number for number in given if number >= least}))


async def _measure(session: Session, model: str, plan: Plan, against: str | None, json: bool) -> None:
    from runner.bench import runs
    from runner.bench.against import as_fields
    from runner.bench.run import Benchmark
    from runner.cli import bench_output as out

    file = session.paths.bench_file
    async with session.client() as client:
        # First: a wrong name, number or file is known before minutes of measuring.
        detail, kept = await client.show(model), runs.load(file)
        before = runs.find(kept, against, detail.digest) if against else None
        with out.progress() as report:
            measured = await Benchmark(client, detail, session.settings, report).run(plan)
    run = runs.keep(file, measured)
    for warning in run.warnings:
        output.say(f"warning: {warning}")
    output.say(f"kept as run {run.number}")
    if json:
        compared = {"against": as_fields(before, run)} if before else {}
        output.write_json(run.fields() | compared)
    else:
        out.write_run(run)
        if before:
            output.write("")
            out.write_comparison(before, run)


def _list(session: Session, model: str | None, json: bool) -> None:
    from runner.bench import runs
    from runner.cli import bench_output as out

    found = runs.load(session.paths.bench_file)
    if model is not None:
        found = [run for run in found if run.model.lower().startswith(model.lower())]
    if json:
        output.write_json([run.fields() for run in found])
    else:
        out.write_history(found)
