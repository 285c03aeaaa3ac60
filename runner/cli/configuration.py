"""`config`: settings with their origins, and changing them."""

from __future__ import annotations

from typing import Annotated

import typer

from runner.cli import output
from runner.cli.session import Json, open_session

app = typer.Typer(help="Show the settings and where each comes from.", invoke_without_command=True)


@app.callback()
def show(context: typer.Context, json: Json = False) -> None:
    """Show the settings and where each comes from."""
    if context.invoked_subcommand is not None:
        return
    from runner.settings import KEYS, SECRET_KEYS

    session = open_session()
    values = {key.name: getattr(session.settings, key.field) for key in KEYS.values()}
    shown = {name: "***" if name in SECRET_KEYS and value else value for name, value in values.items()}
    if json:
        rows = {name: {"value": value, "origin": session.origins[name]} for name, value in shown.items()}
        output.write_json(rows)
        return
    cells = [(name, KEYS[name].spelled(value), session.origins[name]) for name, value in shown.items()]
    output.write_table(("KEY", "VALUE", "ORIGIN"), cells)
    output.say(f"config.toml is {session.paths.config_file}")


@app.command(name="set")
def set_value(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key that `nybble config` lists.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Its new value.")],
) -> None:
    """Write a setting to config.toml. A running daemon reads it when it starts again."""
    import tomlkit

    from runner import config, paths

    file = paths.resolve().config_file
    checked = config.toml_value(key, value)
    # Refuses a file with other mistakes in it before it is written anew.
    config.load({}, {}, file)
    document = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
    document[key] = checked
    paths.make_private(file.parent)
    partial = file.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(tomlkit.dumps(document), "utf-8")
    partial.replace(file)
    output.say(f"{key} = {value} in {file}; `nybble stop --daemon` makes the next command use it")
