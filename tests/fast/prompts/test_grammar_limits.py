"""Limits of constraints: what is just inside is let through, what is outside is named with its number."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import InvalidConstraint
from runner.grammar import check


def nested(opening: str, inner: str, closing: str, levels: int) -> str:
    return opening * levels + inner + closing * levels


def properties(count: int) -> str:
    return json.dumps({"type": "object", "properties": {f"p{i}": {} for i in range(count)}})


def rules(count: int) -> str:
    return "\n".join(f'r{i}: "a"' for i in range(count))


INSIDE = [
    ("lark", "start: " + nested("(", '"a"', ")", 64)),
    ("lark", "start: " + '"' + "(" * 400 + '"'),
    ("lark", "start: /[(]{2}\\((/x/ // ((((("),
    ("lark", rules(1000)),
    ("gbnf", "root ::= " + '[^"(] ' * 100),
    ("gbnf", "root ::= " + nested("(", '"a"', ")", 64)),
    ("regex", nested("(", "a", ")", 64)),
    ("regex", "\\(" * 100 + "[(]" * 100),
    ("regex", "[a-z]{2000}" + "x{50,2000}" * 40),
    ("json_schema", nested('{"items":', "{}", "}", 63)),
    ("json_schema", properties(1000)),
    ("json_schema", json.dumps({"enum": list(range(19_000))})),
    ("json_schema", json.dumps({"const": {"pattern": 3, "properties": [1], "patternProperties": None}})),
    ("json_schema", '{"type": "string", "maxLength": 2147483647}'),
]

OUTSIDE = [
    ("lark", "start: " + nested("(", '"a"', ")", 65), "65 levels of groups, and the limit is 64"),
    ("lark", "start: " + '"' + "a" * 401 + '"', "a text of 401 characters, and the limit is 400"),
    ("lark", rules(1001), "1,001 rules, and the limit is 1,000"),
    ("lark", 'start: ("' + "a" * 400 + '"){300}', "120,000 characters when repetitions are written out"),
    ("lark", "start: /a{2001}/", "a repetition of 2,001, and the limit is 2,000"),
    ("lark", " " * 32_769, "32,769 bytes, and the limit is 32,768"),
    ("gbnf", "root ::= " + "(" * 65, "65 levels of groups"),
    ("gbnf", 'root ::= ("a"{1000} "b"){0,2000}', "characters when repetitions are written out"),
    ("regex", nested("(", "a", ")", 65), "65 levels of groups"),
    ("regex", "a{0" + "9" * 5000 + "}", "a repetition of 9,999,999,999"),
    ("regex", "((a{1,1000}){1,1000}){1,1000}", "1,000,000 characters when repetitions are written out"),
    ("regex", "a{3,4000}", "a repetition of 4,000"),
    ("json_schema", nested('{"items":', "{}", "}", 65), "65 levels, and the limit is 64"),
    ("json_schema", nested('{"items":', "{}", "}", 20_000), "more levels than 64"),
    ("json_schema", properties(1001), "1,001 properties, and the limit is 1,000"),
    ("json_schema", json.dumps({"enum": [1] * 20_000}), "20,002 values, and the limit is 20,000"),
    ("json_schema", json.dumps({"x": "a" * 2**18}), "262,153 bytes, and the limit is 262,144"),
    ("json_schema", '{"items": {"pattern": "a{9999}"}}', "a repetition of 9,999"),
    ("json_schema", '{"patternProperties": {"a{9999}": {}}}', "a repetition of 9,999"),
    ("json_schema", "{", "the JSON Schema is not JSON"),
    ("json_schema", "[]", "a JSON Schema is an object, true or false"),
]


@pytest.mark.parametrize(("kind", "source"), INSIDE)
def test_inside(kind: str, source: str) -> None:
    assert refusal(kind, source) is None


@pytest.mark.parametrize(("kind", "source", "problem"), OUTSIDE)
def test_outside(kind: str, source: str, problem: str) -> None:
    refused = refusal(kind, source)
    assert refused and problem in refused.message
    assert refused.status == 400


@given(st.sampled_from(["json_schema", "regex", "lark", "gbnf"]), st.text('(){}[]"/\\|:=a0,9\n#?'))
def test_nothing_but_the_limits_is_an_error(kind: str, source: str) -> None:
    refused = refusal(kind, source)
    assert refused is None or "limit" in refused.message or kind == "json_schema"


def refusal(kind: str, source: str) -> InvalidConstraint | None:
    try:
        check(kind, source)
    except InvalidConstraint as error:
        return error
    return None
