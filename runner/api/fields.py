"""Request fields that dialects share, from their spelling to ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from runner import wire
from runner.api.errors import BadField, Unsupported, says, spell
from runner.config_values import duration

if TYPE_CHECKING:
    from runner.service import Service

FOREVER_S = -1.0
_LONGEST_S = 10 * 365 * 86400.0


class Body(BaseModel):
    """Base of request bodies: unknown fields are ignored, a number in quotes is not a number."""

    model_config = ConfigDict(extra="ignore", strict=True, protected_namespaces=())


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def keep_alive_s(value: Any) -> float | None:
    """Seconds of a duration like "1h30m" or of a number; negative, and above ten years, is FOREVER_S. Raises
    ValueError."""
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    seconds = value if is_number else duration(value)
    if seconds != seconds:  # not math.isnan: an integer may be too long for a float
        raise ValueError("a number of seconds is needed")
    return float(seconds) if 0 <= seconds <= _LONGEST_S else FOREVER_S


def as_list(value: Any) -> Any:
    """One string as a list of one."""
    return [value] if isinstance(value, str) else value


KeepAlive = Annotated[float | None, BeforeValidator(keep_alive_s, json_schema_input_type=float | str | None)]
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
