"""Grammars as masks over a vocabulary, by llguidance: its settings in one place."""

from __future__ import annotations

import json
import re

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

_LIMITS = LLParserLimits(
    # Alternatives open at one place: an object of 1,000 optional properties has 4,000.
    max_items_in_row=10_000,
    # Of one mask: with half as many, objects of 140 optional properties cannot be written. A rule that
    # only repeats a text without end is written out up to this limit, in one step.
    step_max_items=10_000,
    verbose_errors=False,
)
_LONGEST_MESSAGE = 400
_EXCESS = "too many"
# What Lark grammars name a special token by.
_SPECIAL = re.compile(r"<[^<>\s]+>")
# On an option of the library that would accept what a schema forbids.
_ADVICE = ". Enable 'coerce_one_of' option to approximate oneOf with anyOf"


class GrammarError(Exception):
    """llguidance does not accept a grammar; the message says where and why."""


def byte_tokenizer(grammar: str) -> LLTokenizer:
    """A vocabulary of all bytes and of the special tokens that `grammar` names: enough to check it with."""
    names = dict.fromkeys(["<end>", *_SPECIAL.findall(grammar)])
    # Not in the library's type stub, but what its own tiktoken module calls.
    made: LLTokenizer = LLTokenizer.from_tiktoken(  # type: ignore[attr-defined]
        encoder={bytes([byte]): byte for byte in range(256)},
        special_tokens={name: 256 + index for index, name in enumerate(names)},
        pattern="(?s:.)",
        eos_token=256,
    )
    return made


def matcher(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """`grammar` in llguidance's own form. Raises GrammarError."""
    made = LLMatcher(tokenizer, grammar, log_level=0, limits=_LIMITS)
    if made.is_error():
        raise GrammarError(_sentence(made.get_error()))
    return made


def excess(matcher: LLMatcher) -> str | None:
    """By which limit a matcher gave up, in llguidance's words; None if it did not, or for another reason."""
    first_line, *_ = matcher.get_error().splitlines() or [""]
    return first_line[:_LONGEST_MESSAGE] if _EXCESS in first_line.lower() else None


def _sentence(message: str) -> str:
    marker = "Unimplemented keys: "
    if (at := message.find(marker)) >= 0:
        keywords, _ = json.JSONDecoder().raw_decode(message[at + len(marker) :])
        return f"JSON Schema keywords that are not supported: {', '.join(keywords)}"
    return message.replace(_ADVICE, " where two of them may match; anyOf is")[:_LONGEST_MESSAGE].strip()
