"""`config`: settings with their origins, and changing them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli import output
from runner.cli.arguments import argument, option
from runner.cli.session import Json, open_session

if TYPE_CHECKING:
    from runner.settings import Settings

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
    output.write_table(("KEY", "VALUE", "ORIGIN"), [*cells, *_of_models(session.settings)])
    output.say(f"config.toml is {session.paths.config_file}")


def _of_models(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """What differs from the settings for all models."""
    from runner.settings import MODEL_KEYS

    for name, own in settings.models.items():
        for key in MODEL_KEYS.values():
            value = getattr(own, key.field)
            if value != getattr(settings, key.field):
                yield f'{key.name} of "{name}"', key.spelled(value), "config.toml"


# Else -1, for ever, would be an option.
@app.command(name="set", context_settings={"ignore_unknown_options": True})
def set_value(
    key: Annotated[str, argument("KEY", "A key that `nybble config` lists.")],
    value: Annotated[str, argument("VALUE", "Its new value.")],
    model: Annotated[str | None, option("--model", "NAME", "For this model only.")] = None,
) -> None:
    """Write a setting to config.toml. A running daemon reads it when it starts again."""
    import tomlkit

    from modelstore.replacing import replace_file
    from runner import config, paths

    # What a link leads to, as to a folder that is kept elsewhere: the link itself stays.
    file = paths.resolve().config_file.resolve()
    checked = config.toml_value(key, value)
    # Refuses a file with other mistakes in it before it is written anew.
    config.load({}, {}, file)
    document = tomlkit.parse(file.read_text("utf-8")) if file.exists() else tomlkit.document()
    table = document if model is None else document.setdefault("models", {}).setdefault(model, {})
    table[key] = checked
    paths.make_private(file.parent)
    partial = file.with_suffix(".partial")
    try:
        partial.touch(mode=0o600)
        partial.write_text(tomlkit.dumps(document), "utf-8")
        # Refuses a key that no single model has, and a name that no model can have.
        config.load({}, {}, partial)
        replace_file(partial, file)
    finally:
        partial.unlink(missing_ok=True)
    output.say(f"{key} = {value} in {file}; `nybble stop --daemon` makes the next command use it")
