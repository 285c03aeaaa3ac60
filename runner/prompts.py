"""From messages to the text a model was trained on: its chat template, rendered in Jinja2's sandbox.

A template is untrusted code. The sandbox keeps it away from Python's insides, not from using up memory or
time: run `render` in the prep child (`runner.prep`) only. jinja2 is imported with the first template.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runner.errors import TemplateFailed
from runner.text import clean

if TYPE_CHECKING:
    from jinja2 import Environment, Template

OUTPUT_LIMIT_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RenderJob:
    """A conversation (`runner.wire.Message`, whose roles are a closed set) and the template for it."""

    template: str
    messages: Sequence[Mapping[str, Any]]
    bos_text: str
    eos_text: str
    control_tokens: tuple[str, ...]


def render(job: RenderJob) -> tuple[str, ...]:
    """The prompt up to where the assistant speaks, as text segments that are not empty.

    Where the content of a message spells a control token, the border of two segments runs through the
    spelling, so that tokenizing segment by segment cannot form the token. Raises TemplateFailed.
    """
    # Chosen after the texts are known, from 96 random bits: no text can contain it on purpose. Digits come
    # through the filters templates use (trim, upper, tojson) unchanged.
    marker = f"{secrets.randbits(96):029d}"
    spellings = _spellings(job.control_tokens)
    messages = [
        {key: text if key == "role" else spellings.cut(text, marker) for key, text in message.items()}
        for message in job.messages
    ]
    segments = tuple(segment for segment in _fill(job, messages).split(marker) if segment)
    if not segments:
        raise TemplateFailed("the model's chat template produced no text for this conversation")
    return segments


class _Spellings:
    """Finds control tokens spelled in a text. Tokens of one character cannot be cut and are left alone."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._tokens = frozenset(token for token in tokens if len(token) > 1)
        self._prefixes = frozenset(token[:end] for token in self._tokens for end in range(1, len(token)))
        self._lengths: dict[str, set[int]] = {}
        for token in self._tokens:
            self._lengths.setdefault(token[0], set()).add(len(token))
        firsts = "".join(map(re.escape, self._lengths))
        self._first = re.compile(f"[{firsts}]") if firsts else None
        self._longest = max(map(len, self._tokens), default=0)

    def cut(self, text: str, marker: str) -> str:
        """`text` with `marker` inside every spelled token, and behind an end that begins one: what follows in
        the template, or in the next message, must not complete it."""
        if self._first is None:
            return text
        end = len(text.rstrip())
        cuts = set()
        for found in self._first.finditer(text):
            at = found.start()
            if any(text[at : at + length] in self._tokens for length in self._lengths[text[at]]):
                cuts.add(at + 1)
            if end - at < self._longest and text[at:end] in self._prefixes:
                cuts.add(end)
        borders = [0, *sorted(cuts), len(text)]
        return marker.join(text[a:b] for a, b in pairwise(borders))


_spellings = lru_cache(maxsize=8)(_Spellings)


def _fill(job: RenderJob, messages: list[dict[str, str]]) -> str:
    values = {
        "messages": messages,
        "bos_token": job.bos_text,
        "eos_token": job.eos_text,
        "add_generation_prompt": True,
        "tools": None,
        "documents": None,
    }
    try:
        return _limited(_compiled(job.template).generate(values))
    except TemplateFailed:
        raise
    except Exception as error:
        raise _failure(error) from error


def _limited(pieces: Iterable[str]) -> str:
    taken: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > OUTPUT_LIMIT_CHARACTERS:
            raise TemplateFailed(
                f"the model's chat template produced more than {OUTPUT_LIMIT_CHARACTERS:,} characters"
            )
        taken.append(piece)
    return "".join(taken)


@lru_cache(maxsize=16)
def _compiled(template: str) -> Template:
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """What chat templates are written for: block tags leave no white space, JSON is not HTML."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what a model is trained on; for rendering it is a block like any other."""

        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", Generation]
    )
    del environment.globals["lipsum"]
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _strftime_now}
    environment.filters["tojson"] = _to_json
    return environment


class _Refused(Exception):
    """The template called raise_exception: it wants no such conversation."""


def _refuse(message: object) -> None:
    raise _Refused(str(message))


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _to_json(value: Any, indent: int | None = None, sort_keys: bool = False, **_: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, sort_keys=sort_keys)


def _failure(error: Exception) -> TemplateFailed:
    line = _line(error)
    where = f" (line {line})" if line else ""
    message = clean(str(getattr(error, "message", None) or error))[:500]
    if isinstance(error, _Refused):
        return TemplateFailed(f"the model's chat template refuses this conversation{where}: {message}")
    reason = "out of memory" if isinstance(error, MemoryError) else message or type(error).__name__
    return TemplateFailed(
        f"the model's chat template failed{where}: {reason}", hint="the template came with the model's file"
    )


def _line(error: Exception) -> int | None:
    """The line of the template: jinja2 puts frames with template lines into the traceback."""
    line: int | None = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
