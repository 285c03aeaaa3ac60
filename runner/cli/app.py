"""The command tree. A command's module is imported, and the command built, when it is asked for."""

from __future__ import annotations

import importlib
from collections import UserDict
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# Module of runner.cli and what in it is the command, in the order of the help.
_PLACES = {
    "run": ("run", "run"),
    "pull": ("jobs", "pull"),
    "list": ("models", "list_models"),
    "ps": ("loaded", "ps"),
    "show": ("models", "show"),
    "rm": ("models", "remove"),
    "cp": ("models", "copy"),
    "verify": ("jobs", "verify"),
    "quantize": ("making", "quantize"),
    "imatrix": ("making", "imatrix"),
    "bench": ("bench", "bench"),
    "stop": ("loaded", "stop"),
    "serve": ("serve", "serve"),
    "logs": ("logs", "logs"),
    "doctor": ("doctor", "doctor"),
    "compare": ("compare", "app"),
    "config": ("configuration", "app"),
}


class _Commands(UserDict[str, Any]):
    """Name → command: one that is not looked up costs nothing."""

    def __getitem__(self, name: str) -> Any:
        module, attribute = super().__getitem__(name)
        found = getattr(importlib.import_module(f"runner.cli.{module}"), attribute)
        group = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            group.add_typer(found, name=name)
        else:
            group.command(name)(found)
        return typer.main.get_group(group).commands[name]


class _Root(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": _Commands(_PLACES)})


app = typer.Typer(
    name="nybble",
    cls=_Root,
    help="Run GGUF language models on this computer. Without a command: the terminal app.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


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
    import asyncio
    import sys

    if context.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        typer.echo(context.get_help())
        return
    from runner import paths
    from runner.cli.session import daemon_address
    from tui.app import run as run_terminal_app

    run_terminal_app(asyncio.run(daemon_address()), paths.resolve().theme_file, daemon_address)
