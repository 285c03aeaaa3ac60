"""The same ruler for other knobs: one file, run in several ways. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modelstore.errors import UserError
from modelstore.kv_types import KV_TYPES
from runner.compare.variant import Engine
from runner.text import clean_name

SPECULATION = "speculation"
_LONGEST_CONTEXT, _MOST_THREADS = 2**24, 4096
_TITLES = {
    "kv_type": "KV {}",
    "flash_attention": "flash attention {}",
    "context_length": "context {}",
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
        if self.setting == "context_length":
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
    if setting == "kv_type":
        return value in KV_TYPES
    if setting in ("flash_attention", SPECULATION):
        return value in ("on", "off")
    largest = _MOST_THREADS if setting == "threads" else _LONGEST_CONTEXT
    return value.isascii() and value.isdigit() and 1 <= int(value) <= largest


def _expected(setting: str) -> str:
    if setting == "kv_type":
        return ", ".join(KV_TYPES)
    return "a whole number" if setting in ("threads", "context_length") else "on or off"


def baseline(engine: Engine, chosen: Sequence[Way]) -> Engine:
    """How the reference is run: by the settings, but where KV types are varied with the most exact of them
    that are usual, so that no error is on both sides and hides."""
    if any(way.setting == "kv_type" for way in chosen):
        return replace(engine, kv_type_k="f16", kv_type_v="f16")
    return engine
