"""Constraints in the prep child: hostile ones get an error in time, and the next one is compiled."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from runner import wire
from runner.errors import InvalidConstraint
from runner.prep.pool import Prep
from tests.fast.prompts.templates import CHATML

ANSWER_S = 3.0
FINE = wire.Constraint(kind="regex", source="[0-9]+")
CHAIN = "\n".join(f'r{i}: r{i + 1} | "x" start' for i in range(900))


@pytest_asyncio.fixture
async def prep() -> AsyncIterator[Prep]:
    running = Prep()
    await running.constraint(FINE)
    yield running
    await running.close()


def several(count: int) -> list[dict[str, object]]:
    return [
        {"type": "object", "properties": {f"a{i}": {"const": j}}} for i in range(count) for j in range(count)
    ]


HOSTILE = {
    "rules in a chain": ("lark", f'start: r0\n{CHAIN}\nr900: "b"', "1 MiB of stack"),
    "references in a chain": (
        "json_schema",
        json.dumps(
            {"$ref": "#/$defs/0"} | {"$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(2000)}}
        ),
        "1 MiB of stack",
    ),
    "never begins": ("lark", "start: start", "no text meets the constraint"),
    "itself without an end": ("lark", 'start: "x" start', "a fixed beginning of 5,0"),
    "a text without an end": (
        "lark",
        f'start: "{"ab" * 200}" start',
        "bytes or more, and the limit is 4,000",
    ),
    "rules that repeat each other": (
        "gbnf",
        'root ::= a{40}\na ::= b{40}\nb ::= c{40}\nc ::= "x"',
        "bytes or more, and the limit is 4,000",
    ),
    "only itself": ("json_schema", '{"$ref": "#"}', "no text meets the constraint"),
    "false": ("json_schema", "false", "no JSON meets"),
    "empty range": (
        "json_schema",
        '{"type": "integer", "minimum": 5, "maximum": 1}',
        "minimum (5) is greater",
    ),
    "exponential": (
        "json_schema",
        json.dumps({"allOf": [{"anyOf": several(6)}, {"anyOf": several(7)}, {"anyOf": several(8)}]}),
        "schema too large",
    ),
    "too deep": ("gbnf", "root ::= " + "(" * 15_000, "65 levels of groups, and the limit is 64"),
    "too long": ("regex", "a" * 40_000, "40,000 bytes, and the limit is 32,768"),
    "look-ahead": ("regex", "(?=a)b", "look-around"),
    "no such rule": ("lark", "start: foo", "unknown name"),
    "no root": ("gbnf", 'foo ::= "a"', "No 'root' rule found"),
    "not a grammar": ("gbnf", "}{", "GBNF: "),
    "empty": ("lark", "", "Empty grammar"),
    "keywords": (
        "json_schema",
        '{"not": {}, "items": {"uniqueItems": true}}',
        "keywords that are not supported: not",
    ),
    "what is not JSON": (
        "json_schema",
        '{"type": "object", "x-guidance": {"item_separator": " ,, ", "key_separator": " = "}}',
        "keywords that are not supported: x-guidance",
    ),
    "keywords ignored": (
        "lark",
        'start: "a: " %json {"type": "array", "uniqueItems": true, "x-guidance": {"lenient": true}}',
        "keywords that are not supported: x-guidance",
    ),
    "a schema in a grammar": (
        "lark",
        'start: %json {"type": "string", "pattern": "((a{1000}){1000}){1000}"} "!"',
        "characters when repetitions are written out, and the limit is 100,000",
    ),
    "deep in a grammar": ("lark", f"start: %json {'[' * 3_000}", "more levels than 64, the limit"),
    "branches": (
        "json_schema",
        '{"oneOf": [{"type": "integer"}, {"minimum": 2}]}',
        "oneOf constraints are not supported where two of them may match; anyOf is",
    ),
    "format": ("json_schema", '{"format": "idn-email"}', "Unknown format: idn-email"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_one_is_refused_in_time_and_the_next_compiles(prep: Prep, name: str) -> None:
    kind, source, problem = HOSTILE[name]
    started_s = time.perf_counter()
    with pytest.raises(InvalidConstraint) as raised:
        await prep.constraint(wire.Constraint(kind=kind, source=source))  # type: ignore[arg-type]
    assert time.perf_counter() - started_s < ANSWER_S
    assert problem in raised.value.message
    assert await prep.constraint(wire.Constraint(kind="regex", source="[a-z]+"))


async def test_a_remote_reference_opens_no_connection(prep: Prep) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with pytest.raises(InvalidConstraint, match="does not fetch"):
            await prep.constraint(wire.Constraint(kind="json_schema", source=json.dumps({"$ref": address})))
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_many_at_once_with_templates_beside_them(prep: Prep) -> None:
    killing = wire.Constraint(kind="lark", source=HOSTILE["rules in a chain"][1])
    fine = [wire.Constraint(kind="json_schema", source=json.dumps({"const": i})) for i in range(40)]
    results = await asyncio.gather(
        prep.constraint(killing),
        *(prep.constraint(each) for each in fine),
        prep.render(CHATML.job(("user", "Hi"))),
        return_exceptions=True,
    )
    assert isinstance(results[0], InvalidConstraint)
    assert not any(isinstance(result, BaseException) for result in results[1:])


async def test_triggers_are_kept_and_half_characters_replaced(prep: Prep) -> None:
    with_triggers = await prep.constraint(FINE.model_copy(update={"triggers": ["1", "2"]}))
    assert with_triggers and with_triggers.triggers == ("1", "2")
    assert await prep.constraint(None) is None
    assert await prep.constraint(wire.Constraint(kind="regex", source="a\ud800b"))


async def test_what_was_checked_is_not_checked_again(prep: Prep) -> None:
    first, second = [await prep.constraint(FINE) for _ in range(2)]
    assert first and second
    assert first.grammar is second.grammar
