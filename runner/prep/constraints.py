"""From a constraint as users write it to a grammar that a worker can use without surprises."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import gbnf_to_lark

from native import guidance
from runner.errors import InvalidConstraint
from runner.grammar import check, limit

if TYPE_CHECKING:
    from llguidance._lib import JsonCompileOptions  # for type checkers only: the library has no such name

# A grammar as deep as this stack leaves workers, whose stacks are larger, room to spare; deeper ones end this
# process.
STACK_BYTES = 1024 * 1024
# Where rules repeat each other, or call themselves without an end, a few bytes stand for such a beginning; a
# worker would write it out in one step, with everybody waiting.
MOST_FIXED_BYTES = 4_000
# The converter to Lark does not read these.
_CODE_POINT = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})")
_ANY_OBJECT = '{"type": "object"}'
# Runs of white space end: a model that has nothing to say may otherwise go on with it up to the last token.
_SCHEMA_OPTIONS: JsonCompileOptions = {
    "lenient": False,
    "coerce_one_of": False,
    "whitespace_flexible": True,
    "whitespace_pattern": r" |(\r?\n){1,2}[ \t]{0,40}",
}


def compiled(kind: str, source: str) -> str:
    """The constraint as llguidance's grammar. Raises InvalidConstraint."""
    if kind == "json":
        kind, source = "json_schema", _ANY_OBJECT
    source = source.encode("utf-8", "replace").decode()  # half a surrogate pair is no character
    check(kind, source)
    return _on_a_small_stack(lambda: _compiled(kind, source))


def _compiled(kind: str, source: str) -> str:
    try:
        grammar = _grammar(kind, source)
        matcher = guidance.matcher(guidance.byte_tokenizer(grammar), grammar)
        matcher.compute_bitmask()
    except guidance.GrammarError as error:
        raise InvalidConstraint(str(error)) from error
    fixed_bytes = len(matcher.compute_ff_tokens())
    limit(f"a fixed beginning of {fixed_bytes:,} bytes or more", fixed_bytes, MOST_FIXED_BYTES)
    if matcher.is_error() or (matcher.is_stopped() and not matcher.is_accepting()):
        raise InvalidConstraint(
            "no text meets the constraint, or too much must be computed for its beginning"
        )
    return grammar


def _grammar(kind: str, source: str) -> str:
    if kind == "json_schema":
        schema = json.loads(source)
        if schema is True:
            schema = {}
        if schema is False:
            raise InvalidConstraint("no JSON meets the schema false")
        return LLMatcher.grammar_from_json_schema(schema, overrides=_SCHEMA_OPTIONS)
    if kind == "regex":
        return LLMatcher.grammar_from_regex(source)
    if kind == "gbnf":
        try:
            source = gbnf_to_lark(_CODE_POINT.sub(_character, source))
        except Exception as error:  # what the converter raises is of no particular class
            raise InvalidConstraint(f"GBNF: {error}") from error
    return LLMatcher.grammar_from_lark(source)


def _character(found: re.Match[str]) -> str:
    """The character itself, unless it means something to a grammar."""
    code = int(found[1] or found[2], 16)
    return chr(code) if 0x80 <= code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else found[0]


def _on_a_small_stack(work: Callable[[], str]) -> str:
    others_bytes = threading.stack_size(STACK_BYTES)
    try:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work).result()
    finally:
        threading.stack_size(others_bytes)
