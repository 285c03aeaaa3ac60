"""The same ruler for other knobs: one file, run in several ways. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from modelstore.errors import UserError
from modelstore.kv_types import KV_TYPES
from runner.compare.variant import Engine
from runner.text import clean_name

CONTEXT_LENGTH, SPECULATION = "context_length", "speculation"
_SWITCH = ("on", "off")


@dataclass(frozen=True, slots=True)
class _Knob:
    """`values` are words, or the largest number there may be; `turned` is how llama.cpp is run then."""

    title: str
    values: Sequence[str] | int
    turned: Callable[[Engine, str], Engine]

    def knows(self, value: str) -> bool:
        if isinstance(self.values, int):
            return value.isascii() and value.isdigit() and 1 <= int(value) <= self.values
        return value in self.values

    @property
    def expected(self) -> str:
        return f"a number up to {self.values:,}" if isinstance(self.values, int) else " or ".join(self.values)


_KNOBS = {
    "kv_type": _Knob("KV", KV_TYPES, lambda engine, to: replace(engine, kv_type_k=to, kv_type_v=to)),
    "flash_attention": _Knob(
        "flash attention", _SWITCH, lambda engine, to: replace(engine, flash_attention=to == "on")
    ),
    CONTEXT_LENGTH: _Knob("context", 2**24, lambda engine, to: replace(engine, context_length=int(to))),
    "threads": _Knob("threads", 4096, lambda engine, to: replace(engine, threads=int(to))),
    # The daemon's: llama.cpp is told nothing.
    SPECULATION: _Knob("speculation", _SWITCH, lambda engine, _: engine),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One setting that differs from the others of the file."""

    setting: str
    value: str

    @property
    def title(self) -> str:
        return f"{_KNOBS[self.setting].title} {self.value}"

    def applied(self, engine: Engine) -> Engine:
        return _KNOBS[self.setting].turned(engine, self.value)


def ways(vary: Mapping[str, Sequence[str]]) -> list[Way]:
    """In the order asked for. Raises UserError for settings and values that there are not."""
    found = []
    for setting, values in vary.items():
        if (knob := _KNOBS.get(setting)) is None:
            known = f"Known are {', '.join(_KNOBS)}."
            raise UserError(f"{clean_name(setting)} is nothing that can be varied", hint=known)
        for value in dict.fromkeys(each.strip().lower() for each in values):
            if not knob.knows(value):
                raise UserError(f"{setting} cannot be {clean_name(value)}", hint=f"It is {knob.expected}.")
            found.append(Way(setting, value))
    return found


def baseline(engine: Engine, chosen: Sequence[Way]) -> Engine:
    """How the reference is run: by the settings, but where KV types are varied with the most exact of them
    that are usual, so that no error is on both sides and hides."""
    if any(way.setting == "kv_type" for way in chosen):
        return replace(engine, kv_type_k="f16", kv_type_v="f16")
    return engine
