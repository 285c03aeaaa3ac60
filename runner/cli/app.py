"""The command tree. Commands import what they need inside their functions, so that help is instant."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli import bench, compare, configuration, doctor, jobs, loaded, logs, making, models, run, serve

app = typer.Typer(
    name="nybble",
    help="Run GGUF language models on this computer. Without a command: the terminal app.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command()(run.run)
app.command()(jobs.pull)
app.command(name="list")(models.list_models)
app.command()(loaded.ps)
app.command()(models.show)
app.command(name="rm")(models.remove)
app.command(name="cp")(models.copy)
app.command()(jobs.verify)
app.command()(making.quantize)
app.command()(making.imatrix)
app.command()(bench.bench)
app.add_typer(compare.app, name="compare")
app.command()(loaded.stop)
app.command()(serve.serve)
app.command()(logs.logs)
app.add_typer(configuration.app, name="config")
app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"nybble {version('nybble')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    import sys

    if context.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo(context.get_help())
        return
    from runner.cli.session import daemon_address
    from tui.app import run as run_terminal_app

    run_terminal_app(daemon_address())
