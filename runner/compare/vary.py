"""The same ruler for other knobs: one file, run in several ways. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modelstore.errors import UserError
from modelstore.kv_types import KV_TYPES
from runner.compare.variant import Engine
from runner.text import clean_name

CONTEXT_LENGTH, SPECULATION = "context_length", "speculation"
_MOST = {CONTEXT_LENGTH: 2**24, "threads": 4096}
_WORDS = {"kv_type": KV_TYPES, "flash_attention": ("on", "off"), SPECULATION: ("on", "off")}
_TITLES = {
    "kv_type": "KV {}",
    "flash_attention": "flash attention {}",
    CONTEXT_LENGTH: "context {}",
    "threads": "threads {}",
    SPECULATION: "speculation {}",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One setting that differs from the others of the file."""

    setting: str
    value: str

    @property
    def title(self) -> str:
        return _TITLES[self.setting].format(self.value)

    def applied(self, engine: Engine) -> Engine:
        """What llama.cpp is told; speculation is the daemon's and leaves it as it is."""
        if self.setting == "kv_type":
            return replace(engine, kv_type_k=self.value, kv_type_v=self.value)
        if self.setting == "flash_attention":
            return replace(engine, flash_attention=self.value == "on")
        if self.setting == "threads":
            return replace(engine, threads=int(self.value))
        if self.setting == CONTEXT_LENGTH:
            return replace(engine, context_length=int(self.value))
        return engine


def ways(vary: Mapping[str, Sequence[str]]) -> list[Way]:
    """In the order asked for. Raises UserError for settings and values that there are not."""
    return list(_ways(vary))


def _ways(vary: Mapping[str, Sequence[str]]) -> Iterator[Way]:
    for setting, values in vary.items():
        if setting not in _TITLES:
            raise UserError(
                f"{clean_name(setting)} is nothing that can be varied",
                hint=f"Known are {', '.join(_TITLES)}.",
            )
        for value in dict.fromkeys(each.strip().lower() for each in values):
            if not _is_known(setting, value):
                raise UserError(
                    f"{setting} cannot be {clean_name(value)}", hint=f"It is {_expected(setting)}."
                )
            yield Way(setting, value)


def _is_known(setting: str, value: str) -> bool:
    if setting in _MOST:
        return value.isascii() and value.isdigit() and 1 <= int(value) <= _MOST[setting]
    return value in _WORDS[setting]


def _expected(setting: str) -> str:
    return f"a number up to {_MOST[setting]:,}" if setting in _MOST else " or ".join(_WORDS[setting])


def baseline(engine: Engine, chosen: Sequence[Way]) -> Engine:
    """How the reference is run: by the settings, but where KV types are varied with the most exact of them
    that are usual, so that no error is on both sides and hides."""
    if any(way.setting == "kv_type" for way in chosen):
        return replace(engine, kv_type_k="f16", kv_type_v="f16")
    return engine
