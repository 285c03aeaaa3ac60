"""The lines of the compare setup: what each one offers, what it means, and what else may be typed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.text import typed_path
from runner.wire.compare import settings
from tui.comparing import CHATS, COMPATIBLE, Setup


@dataclass(frozen=True, slots=True)
class Knob:
    """`field` is one of Setup. `meanings` are its usual values; `usual` names the empty one if there is one.
    With a `question`, any other value can be typed that `wrong` finds nothing wrong with."""

    field: str
    label: str
    meanings: Mapping[str, str]
    usual: str = ""
    question: str | None = None
    wrong: Callable[[str], str | None] | None = None

    def value(self, setup: Setup) -> str:
        return str(getattr(setup, self.field))

    def turned(self, setup: Setup, steps: int) -> Setup:
        values, now = list(self.meanings), self.value(setup)
        place = (values.index(now) + steps) % len(values) if now in values else 0
        return self.put(setup, values[place])

    def put(self, setup: Setup, value: str) -> Setup:
        """An empty value is the usual one."""
        fields: dict[str, Any] = {self.field: value or next(iter(self.meanings))}
        return replace(setup, **fields)


def _whole(what: str, least: int, most: int) -> Callable[[str], str | None]:
    def wrong(value: str) -> str | None:
        is_right = re.fullmatch("[0-9]{1,9}", value) and least <= int(value) <= most
        return None if is_right else f"a whole number of {what}, from {least}"

    return wrong


def _wrong_depth(value: str) -> str | None:
    return None if value in EFFORT.meanings else _whole("chunks", 1, 10**6)(value)


def _wrong_text(value: str) -> str | None:
    # pathlib's fails for a name that is too long.
    is_file = os.path.isfile(typed_path(value))  # noqa: PTH113
    return None if value == CHATS or is_file else "there is no such file"


def _wrong_vary(value: str) -> str | None:
    try:
        settings(value.split())
    except ValueError:
        return "it reads kv_type=f16,q8_0, with a space between settings"
    return None


_CONTEXT = "tokens the model is to be used with: they take memory"
_ONE_FILE = "the chosen model, run in each of these ways"

EFFORT = Knob(
    "effort",
    "Depth",
    {
        "quick": "16 chunks: which of Q8, Q6, Q5, Q4 and Q3 is better",
        "standard": "64 chunks: also close neighbours, such as Q4_K_M and Q4_K_S",
        "deep": "256 chunks: also rare mistakes",
    },
    question="Chunks of text to score",
    wrong=_wrong_depth,
)
INTENT = Knob(
    "intent",
    "Intent",
    {
        "balanced": "more memory only where it buys much quality",
        "fast": "the shortest time to an answer",
        "best": "the least divergence that fits",
        "battery": "the least energy for an answer",
    },
)
MEASURE = Knob(
    "measure",
    "Measure",
    {
        "all": "quality, speed, memory and energy",
        "quality": "no speed and no energy: sooner done",
        "speed": "no quality: nothing is recommended",
    },
)
CONTEXT = Knob(
    "context",
    "Context",
    {"4096": _CONTEXT, "8192": _CONTEXT, "16384": _CONTEXT, "32768": _CONTEXT},
    question="Tokens the model is to be used with",
    wrong=_whole("tokens", 256, 2**24),
)
TEXT = Knob(
    "text",
    "Text",
    {
        "": "what is scored: the reference's own answers to a set of prompts",
        CHATS: "what is scored: your chats; they stay on this computer",
    },
    usual="the model's own answers",
    question="A file of text to score; it stays on this computer",
    wrong=_wrong_text,
)
REFERENCE = Knob(
    "reference",
    "Reference",
    {"": "what the others are held against"},
    usual="the best of them",
    question="Quantization or tag that the others are held against",
)
VARY = Knob(
    "vary",
    "Vary",
    {
        "": "the quantizations chosen below are compared",
        "kv_type=q8_0,q4_0": _ONE_FILE,
        "flash_attention=on,off": _ONE_FILE,
        "context_length=4096,16384": _ONE_FILE,
        "threads=1,2,4": _ONE_FILE,
        "speculation=on,off": _ONE_FILE,
    },
    usual="the files",
    question="Settings to compare on one file, as kv_type=f16,q8_0",
    wrong=_wrong_vary,
)
KINDS = Knob(
    "kinds",
    "Kinds",
    {"": "kinds of text that must not suffer"},
    usual="all kinds of text count",
    question="Kinds of text that must not suffer, as code,math,German",
)
SCORED_AS = Knob(
    "scored_as",
    "Scored as",
    {
        "nybble": "windows that make the most of each token",
        COMPATIBLE: "its windows and definitions, to check one against the other",
    },
)
MADE = Knob(
    "made",
    "Made files",
    {
        "dropped": "what is fetched or made for this is removed again",
        "kept": "what is fetched or made for this stays on this machine",
    },
)


def knobs(setup: Setup) -> list[Knob]:
    """Those that mean something now: where settings are compared, the reference is the file as it is."""
    files = [] if setup.vary else [REFERENCE]
    return [EFFORT, INTENT, MEASURE, CONTEXT, TEXT, KINDS, SCORED_AS, *files, VARY, MADE]
