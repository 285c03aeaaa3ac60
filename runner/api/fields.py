"""Request bodies and fields that dialects share, from their spelling to ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import from_json

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from modelstore.errors import UserError
from runner import wire
from runner.api.errors import BadField, Unsupported, says, spell
from runner.config_values import duration
from runner.errors import InvalidConstraint

if TYPE_CHECKING:
    from runner.report import Event
    from runner.service import Service

FOREVER_S = -1.0
SEEDS = 2**32
_LONGEST_S = 10 * 365 * 86400.0


class ParsingRoute(APIRoute):
    """Raises UserError for a body that is no JSON, before the web framework sees it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def parse_and_handle(request: Request) -> Response:
            if body := await request.body():
                # Where the framework's own parser leaves what it has read.
                request._json = _parsed(body)
                await asyncio.sleep(0)  # a large one took its time, and takes more
            return await handle(request)

        return parse_and_handle


def _parsed(body: bytes) -> Any:
    """Raises UserError also for what Python's parser lets pass, or takes badly: half surrogates, which no
    UTF-8 answer can repeat, nesting deeper than 201, numbers of thousands of digits."""
    try:
        return from_json(body)
    except ValueError as error:
        problem = str(error).replace("recursion limit exceeded", "nested deeper than the limit of 201 levels")
        raise UserError(f"invalid JSON: {problem}") from error


class Body(BaseModel):
    """Base of request bodies: unknown fields are ignored, unless a route refuses them; a number in quotes is
    not a number."""

    model_config = ConfigDict(extra="allow", strict=True)


class Said(TypedDict):
    """Base of their messages, of which there may be thousands: as `Body`, and quick."""

    __pydantic_config__ = Body.model_config  # type: ignore[misc]


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


def _texts(value: Any) -> Any:
    """Raises ValueError."""
    texts = as_list(value)
    if not isinstance(texts, list) or not texts:
        raise ValueError("a text or a list of texts, not empty, is needed")
    if any(isinstance(text, int | list) for text in texts):
        raise ValueError("arrays of tokens are not supported: their numbers are another model's; send texts")
    return texts


def by_token(value: Any) -> Any:
    """The keys of a JSON object, which are always texts, as numbers of tokens. Raises ValueError."""
    if not isinstance(value, dict):
        return value
    keys = [str(key) for key in value]
    if wrong := [key for key in keys if not (key.isascii() and key.isdecimal() and len(key) < 10)]:
        raise ValueError(f"{wrong[0][:40]!r} is not the number of a token")
    return dict(zip(map(int, keys), value.values(), strict=True))


KeepAlive = Annotated[float | None, BeforeValidator(keep_alive_s, json_schema_input_type=float | str | None)]
Strings = Annotated[list[str] | None, BeforeValidator(as_list, json_schema_input_type=str | list[str] | None)]
Texts = Annotated[list[str], BeforeValidator(_texts, json_schema_input_type=str | list[str])]
LogitBias = Annotated[
    dict[int, float] | None, BeforeValidator(by_token, json_schema_input_type=dict[str, float] | None)
]


class Sampling(Body):
    """The options that all dialects spell as we do. None is as if absent; `wire.Options` has the ranges."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    top_n_sigma: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: list[str] | None = None
    logit_bias: LogitBias = None
    ignore_eos: bool | None = None
    seed: int | None = None
    stop: Strings = None

    def options(self, spelled: Mapping[str, tuple[str, Any]], prefix: str = "") -> wire.Options:
        """Our options. `spelled` has those that the dialect calls or means otherwise: our name, its name, the
        value in our terms. Problems are reported under its name, after `prefix`. Raises BadField.

        Any 64-bit seed is good: it is folded into the 32 bits that the sampler takes."""
        given = {name: getattr(self, name) for name in Sampling.model_fields}
        given |= {ours: value for ours, (_, value) in spelled.items()}
        if (seed := given["seed"]) is not None:
            if not -(2**63) <= seed < 2**64:
                raise BadField(prefix + "seed", "a number of 64 bits is needed")
            given["seed"] = seed % SEEDS
        try:
            return wire.Options(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            problem = error.errors()[0]
            ours, *rest = problem["loc"]
            theirs = spelled[str(ours)][0] if ours in spelled else ours
            raise BadField(prefix + spell([theirs, *rest]), says(problem)) from error


def limited(field: str, value: int, limit: int, least: int = 0) -> int:
    """`value`, if it is in `least`…`limit`. Raises BadField."""
    if least <= value <= limit:
        return value
    raise BadField(field, f"{value} is not in the limits of {least} to {limit}")


def schema(field: str, value: Any) -> wire.Constraint:
    """Output must match this JSON Schema, or any object if there is none. Raises BadField."""
    if value is None:
        return wire.Constraint(kind="json")
    if not isinstance(value, dict | bool):
        raise BadField(field, "a JSON Schema is needed, which is an object")
    return wire.Constraint(kind="json_schema", source=msgspec.json.encode(value).decode())


def refuse(body: Body | Said, model: str, absent: Mapping[str, str], prefix: str = "") -> None:
    """Raises Unsupported for the first field of `absent` (field: what it asks for) that is there and not
    empty."""
    unknown: Mapping[str, Any] = (body.model_extra or {}) if isinstance(body, Body) else body
    for field, what in absent.items():
        if unknown.get(field):
            raise Unsupported(prefix + field, model, what)


def events_of(request: Request, asked: wire.GenerateRequest, field: str) -> AsyncGenerator[Event]:
    """The events of `asked`, whose constraint the client put into `field`."""
    events = service_of(request).generate(asked)
    return events if asked.constraint is None else _naming(field, events)


async def _naming(field: str, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    async with aclosing(events) as running:
        try:
            async for event in running:
                yield event
        except InvalidConstraint as error:
            named = BadField(field, error.message, hint=error.hint)
            named.code = error.code
            raise named from error
