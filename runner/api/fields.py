"""Request fields that dialects share, from their spelling to ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from runner import wire
from runner.api.errors import BadField, Unsupported, says, spell

if TYPE_CHECKING:
    from runner.service import Service

FOREVER_S = -1.0
_LONGEST_S = 10 * 365 * 86400.0
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = "|".join(sorted(_UNITS_S, key=len, reverse=True))
_DURATION = re.compile(rf"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:{_UNIT}))+")
_DURATION_PART = re.compile(rf"(\d+\.?\d*|\.\d+)({_UNIT})")
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


class Body(BaseModel):
    """Base of request bodies: unknown fields are ignored, a number in quotes is not a number."""

    model_config = ConfigDict(extra="ignore", strict=True, protected_namespaces=())


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def duration_s(value: Any) -> float | None:
    """`"5m"`, `"1h30m"`, `"-1s"` or a number of seconds, in seconds. Negative, and anything above ten years,
    is FOREVER_S. Raises ValueError."""
    if value is None:
        return None
    seconds = _parsed_s(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        raise ValueError('a duration like "5m" or a number of seconds is needed')
    return float(seconds) if 0 <= seconds <= _LONGEST_S else FOREVER_S


def _parsed_s(text: str) -> float | None:
    if _PLAIN_NUMBER.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    total_s = sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(text))
    return -total_s if text.startswith("-") else total_s


def as_list(value: Any) -> Any:
    """One string as a list of one."""
    return [value] if isinstance(value, str) else value


KeepAlive = Annotated[float | None, BeforeValidator(duration_s, json_schema_input_type=float | str | None)]
Strings = Annotated[list[str] | None, BeforeValidator(as_list, json_schema_input_type=str | list[str] | None)]


def options(values: Mapping[str, Any], names: Mapping[str, str], prefix: str = "") -> wire.Options:
    """Our options. `names` maps our names to the dialect's, under which the values are found and problems are
    reported. None is as if absent. Raises BadField."""
    given = {ours: values[theirs] for ours, theirs in names.items() if values.get(theirs) is not None}
    try:
        return wire.Options(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        ours, *rest = problem["loc"]
        raise BadField(prefix + spell([names[str(ours)], *rest]), says(problem)) from error


def refuse(body: BaseModel, model: str, absent: Mapping[str, str], prefix: str = "") -> None:
    """Raises Unsupported for the first field of `absent` (field: what it asks for) that is not empty."""
    for field, what in absent.items():
        if getattr(body, field):
            raise Unsupported(prefix + field, model, what)
