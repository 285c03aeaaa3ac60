"""Limits of constraints, checked before anything compiles them: pure.

What they keep out: recursion that overflows a parser's stack, and repetition that multiplies what has to be
computed. Both are a few bytes to write.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from runner.errors import InvalidConstraint

MOST_SOURCE_BYTES = {"json_schema": 256 * 1024, "regex": 32 * 1024, "lark": 32 * 1024, "gbnf": 32 * 1024}
MOST_NESTING = 64
MOST_RULES = 1_000
MOST_REPETITIONS = 2_000
MOST_EXPANDED = 100_000
MOST_TEXT = 400
MOST_SCHEMA_VALUES = 20_000
MOST_PROPERTIES = 1_000
# With it a schema could have llguidance write what is not JSON, or ignore keywords.
_LIBRARY_OPTIONS = "x-guidance"

_GROUPING = r"(?P<open>\() | (?P<close>\)) | \{\s*(?P<least>\d+)\s*(?:,\s*(?P<most>\d*)\s*)?\}"
_REGEX = re.compile(r"\\. | \[\^?\]?(?:\\.|[^\]\\])*\] | " + _GROUPING + r" | [^\\\[(){}]+", re.X | re.S)
# Strings, regular expressions (Lark), character classes (GBNF) and comments hide what is in them.
_GRAMMAR = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*")
      | (?P<regex>/(?!/)(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+/)
      | \[\^?\]?(?:\\.|[^\]\\\n])*\]
      | (?:\#|//)[^\n]*
      | (?P<json>%json\b\s*)
      | (?P<rule>^[ \t]*[?!]?[\w-]+(?:\.-?\d+)?(?:\[[^\]\n]*\])?\s*(?:::=|:))
      | """
    + _GROUPING,
    re.X | re.S | re.M,
)


def check(kind: str, source: str) -> None:
    """Raises InvalidConstraint, with the limit's name and number, for a `source` beyond the limits."""
    size_bytes = len(source.encode("utf-8", "replace"))
    limit(f"{size_bytes:,} bytes", size_bytes, MOST_SOURCE_BYTES[kind])
    if kind == "json_schema":
        _check_schema(source)
    elif kind == "regex":
        _check_regex(source)
    else:
        _check_grammar(source)


def limit(what: str, amount: int, most: int) -> None:
    """Raises InvalidConstraint, which says `what`, if there is more of it than `most`."""
    if amount > most:
        raise InvalidConstraint(f"the constraint has {what}, and the limit is {most:,}")


def _check_schema(source: str, *, is_whole: bool = True) -> None:
    """With other text behind it, if it is not the `is_whole` constraint."""
    try:
        schema = json.loads(source) if is_whole else json.JSONDecoder().raw_decode(source)[0]
    except RecursionError as error:
        raise InvalidConstraint(f"the constraint has more levels than {MOST_NESTING}, the limit") from error
    except ValueError as error:
        raise InvalidConstraint(f"the JSON Schema is not JSON: {error}") from error
    if not isinstance(schema, dict | bool):
        raise InvalidConstraint("a JSON Schema is an object, true or false")
    if isinstance(schema, dict) and _LIBRARY_OPTIONS in schema:
        raise InvalidConstraint(f"JSON Schema keywords that are not supported: {_LIBRARY_OPTIONS}")
    values = properties = depth = 0
    level: list[Any] = [schema]
    while level:
        limit(f"{depth} levels", depth, MOST_NESTING)
        values += len(level)
        limit(f"{values:,} values", values, MOST_SCHEMA_VALUES)
        properties += sum(_check_keywords(value) for value in level if isinstance(value, dict))
        limit(f"{properties:,} properties", properties, MOST_PROPERTIES)
        level = [child for value in level for child in _children(value)]
        depth += 1


def _check_keywords(value: dict[str, Any]) -> int:
    """How many properties `value` has if it is a schema, after a look at its patterns."""
    if isinstance(pattern := value.get("pattern"), str):
        _check_regex(pattern)
    named, matched = (_keys(value.get(keyword)) for keyword in ("properties", "patternProperties"))
    for pattern in matched:
        _check_regex(pattern)
    return len(named) + len(matched)


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


@dataclass(slots=True)
class _Sizes:
    """Sizes of the open groups, repetition multiplied out, and of what was last read in the innermost."""

    groups: list[int] = field(default_factory=lambda: [0])
    last: int = 0

    def add(self, size: int) -> None:
        self.last = size
        self.groups[-1] += size
        inner = self.groups[-1]
        limit(f"{inner:,} characters when repetitions are written out", inner, MOST_EXPANDED)

    def group(self, found: re.Match[str]) -> None:
        if found["open"]:
            self.groups.append(0)
            limit(f"{len(self.groups) - 1} levels of groups", len(self.groups) - 1, MOST_NESTING)
        elif found["close"]:
            inner = self.groups.pop() if len(self.groups) > 1 else 0
            self.add(inner)
        elif found["least"]:
            # Ten digits are far beyond the limit, and Python refuses to read thousands.
            times = max(int(number.lstrip("0")[:10] or 0) for number in (found["least"], found["most"] or ""))
            limit(f"a repetition of {times:,}", times, MOST_REPETITIONS)
            self.add(self.last * max(0, times - 1))


def _check_regex(source: str) -> None:
    sizes = _Sizes()
    for found in _REGEX.finditer(source):
        if found["open"] or found["close"] or found["least"]:
            sizes.group(found)
        else:
            # A repetition after plain text is of its last character.
            sizes.add(len(found[0]))
            sizes.last = 1


def _check_grammar(source: str) -> None:
    sizes = _Sizes()
    rules = 0
    for found in _GRAMMAR.finditer(source):
        if found["rule"]:
            rules += 1
            limit(f"{rules:,} rules", rules, MOST_RULES)
            sizes = _Sizes()
        elif found["json"]:
            _check_schema(source[found.end() :], is_whole=False)
        elif found["regex"]:
            _check_regex(found["regex"][1:-1])
            sizes.add(len(found["regex"]))
        elif found["text"]:
            length = len(found["text"]) - 2
            limit(f"a text of {length:,} characters", length, MOST_TEXT)
            sizes.add(length)
        elif found["open"] or found["close"] or found["least"]:
            sizes.group(found)
