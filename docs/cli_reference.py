"""Writes docs/cli.md and docs/configuration.md from the command tree and the settings.

    python docs/cli_reference.py

A test fails when the files are not what this writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from runner import exits
from runner.cli.app import app
from runner.settings import KEYS, MODEL_KEYS, SECRET_KEYS, Settings

DOCS = Path(__file__).parent

_EXITS = {
    exits.OK: "done",
    exits.FAILED: "it failed; the message says why",
    exits.USAGE: "wrong arguments, settings or request",
    exits.NOT_FOUND: "no such model",
    exits.UNREACHABLE: "no daemon, and none could or was allowed to be started",
    exits.ALREADY_RUNNING: "`serve`: the store has a daemon already",
    exits.INTERRUPTED: "stopped by Ctrl-C",
}


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text, "utf-8")


def pages() -> dict[str, str]:
    """File name → text."""
    return {"cli.md": "\n".join(_cli()), "configuration.md": "\n".join(_configuration())}


def _cli() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    yield "# Commands\n"
    yield "Written by `docs/cli_reference.py`; do not edit.\n"
    yield f"{root.help}\n"
    yield "Data goes to stdout, talk to stderr. Progress bars appear in terminals only, and `NO_COLOR` is"
    yield "honoured. Commands that need the daemon start one if none runs, and take three options for it:\n"
    yield from _table((_option(option), option.help) for option in _shared(root.commands["list"]))
    for words, command in _commands(("nybble",), root):
        yield from _command(words, command)
    yield "## Exit codes\n"
    yield "| code | meaning |\n|---|---|"
    for code, meaning in _EXITS.items():
        yield f"| {code} | {meaning} |"
    yield ""


def _commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield (*words, name), child
        yield from _commands((*words, name), child)


def _command(words: tuple[str, ...], command: Any) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join([*words, *(_argument(argument) for argument in arguments)])
    yield f"## `{usage}`\n"
    yield f"{command.help}\n"
    shared = _shared(command)
    rows = [(_argument(argument), argument.help) for argument in arguments]
    rows += [
        (_option(option), option.help) for option in options if option not in shared and not option.hidden
    ]
    if rows:
        yield from _table(rows)


def _shared(command: Any) -> list[Any]:
    """The options of finding and starting the daemon, if `command` has them."""
    if all(parameter.name != "no_start" for parameter in command.params):
        return []
    return [parameter for parameter in command.params if parameter.name in {"host", "port", "no_start"}]


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield "| | |\n|---|---|"
    for name, sentence in rows:
        yield f"| `{name}` | {sentence} |"
    yield ""


def _argument(argument: Any) -> str:
    """As usage lines have it: `[PROMPT]...`."""
    name = argument.metavar or argument.name.upper()
    return (name if argument.required else f"[{name}]") + ("" if argument.nargs == 1 else "...")


def _option(option: Any) -> str:
    metavar = "" if option.is_flag else f" {option.metavar or 'VALUE'}"
    return ", ".join(option.opts) + metavar


def _configuration() -> Iterator[str]:
    yield "# Configuration\n"
    yield "Written by `docs/cli_reference.py`; do not edit.\n"
    yield "A setting comes from a flag (`--host`, `--port`), else from the environment, else from"
    yield "`config.toml`, else it is the default. `nybble config` shows each value and its origin;"
    yield "`nybble config set KEY VALUE` writes to `config.toml`. Durations look like `30s`, `5m` or `1h30m`;"
    yield "a number without a unit is seconds. Sizes look like `4GiB` or `500MB`; a number without a unit is"
    yield "bytes. An unknown key, or a value that makes no sense, is an error.\n"
    yield "**The daemon has the settings that it was started with.** `nybble stop --daemon` ends it, and the"
    yield "next command starts one with those of now.\n"
    yield "| key | environment | default | |\n|---|---|---|---|"
    for key in KEYS.values():
        secret = " Not shown by `nybble config`." if key.name in SECRET_KEYS else ""
        default = key.spelled(getattr(Settings(), key.field))
        yield f"| `{key.name}` | `{key.variable}` | `{default}` | {key.sentence}{secret} |"
    yield "\n## One model\n"
    yield "A table named after a model holds what counts for it alone, whatever the settings above say."
    yield "`nybble config set KEY VALUE --model NAME` writes it:\n"
    yield '```toml\nkeep_alive = "10m"\n\n[models."smollm2:135m"]\nkeep_alive = -1\nkv_type = "q8_0"\n```\n'
    yield f"It may hold {', '.join(f'`{name}`' for name in MODEL_KEYS)}. Two names of the same weights may"
    yield "differ in the types of the KV cache, flash attention and the draft model: then both are loaded, if"
    yield "memory allows."
    yield "\n## Folders\n"
    yield "`NYBBLE_HOME` puts everything under one folder. Without it:\n"
    yield "| | with `NYBBLE_HOME` | Linux | macOS | Windows |\n|---|---|---|---|---|"
    for row in _FOLDERS:
        yield "| " + " | ".join(row) + " |"
    yield ""


_FOLDERS = (
    (
        "settings",
        "`config.toml`",
        "`~/.config/nybble/config.toml`",
        "`~/Library/Application Support/nybble/config.toml`",
        "`%LOCALAPPDATA%\\nybble\\config.toml`",
    ),
    (
        "models",
        "`store/`",
        "`~/.local/share/nybble/store/`",
        "`~/Library/Application Support/nybble/store/`",
        "`%LOCALAPPDATA%\\nybble\\store\\`",
    ),
    (
        "log, sessions, history",
        "`state/`",
        "`~/.local/state/nybble/`",
        "`~/Library/Application Support/nybble/`",
        "`%LOCALAPPDATA%\\nybble\\`",
    ),
    (
        "lock and address of the daemon",
        "`runtime/`",
        "`~/.local/share/nybble/runtime/`",
        "`~/Library/Application Support/nybble/runtime/`",
        "`%LOCALAPPDATA%\\nybble\\runtime\\`",
    ),
    (
        "cache",
        "`cache/`",
        "`~/.cache/nybble/`",
        "`~/Library/Caches/nybble/`",
        "`%LOCALAPPDATA%\\nybble\\Cache\\`",
    ),
)


if __name__ == "__main__":
    main()
