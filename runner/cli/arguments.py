"""How commands declare what they take, and how values are read: as settings are, and lists with commas."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import typer

from modelstore.errors import UserError

_Given = TypeVar("_Given")
_Value = TypeVar("_Value")


def argument(metavar: str, help: str) -> Any:
    return typer.Argument(metavar=metavar, help=help)


def option(flags: str, metavar: str, help: str, **limits: Any) -> Any:
    """One with a value; `flags` are as `-n --lines`, `limits` are typer's `min` and `max`."""
    return typer.Option(*flags.split(), metavar=metavar, help=help, **limits)


def flag(names: str, help: str) -> Any:
    return typer.Option(*names.split(), help=help)


def parsed(option: str, read: Callable[[_Given], _Value], value: _Given | None) -> _Value | None:
    """What `read`, as those of `runner.config_values`, makes of `value`; None if the option was not given.

    Raises BadParameter saying what is expected.
    """
    try:
        return None if value is None else read(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def listed(value: str) -> list[str]:
    """For `parsed`. Raises ValueError."""
    parts = [part.strip() for part in value.split(",")]
    if not all(parts):
        raise ValueError("expects values with commas between them")
    return parts


def numbers(value: str) -> list[int]:
    """For `parsed`. Raises ValueError."""
    parts = [part.strip() for part in value.split(",")]
    if not all(re.fullmatch(r"\d{1,7}", part) for part in parts):
        raise ValueError("expects whole numbers with commas between them")
    return [int(part) for part in parts]


def text_of(file: Path, hint: str) -> str:
    """Raises UserError."""
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}", hint=hint) from None
