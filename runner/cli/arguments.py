"""Values of options: read as settings are, and lists with commas."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import typer

_Value = TypeVar("_Value")


def parsed(option: str, read: Callable[[str], _Value], value: str | None) -> _Value | None:
    """What `read`, as those of `runner.config_values`, makes of `value`; None if the option was not given.

    Raises BadParameter saying what is expected.
    """
    try:
        return None if value is None else read(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def numbers(option: str, value: str | None) -> list[int] | None:
    """Raises BadParameter."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]
    if not all(re.fullmatch(r"\d{1,7}", part) for part in parts):
        raise typer.BadParameter("expects whole numbers with commas between them", param_hint=option)
    return [int(part) for part in parts]
