"""Questions with known answers, made from templates: as many as wanted, always the same.

An answer is only read, never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

Marks = dict[str, bool]
"""What about an answer is right; the last is the strictest."""

Reading = Callable[[str], Marks]


@dataclass(frozen=True, slots=True)
class Exercise:
    """`domain` is its kind of text; `marks` reads an answer."""

    prompt: str
    domain: str
    marks: Reading


def exercises(count: int) -> list[Exercise]:
    """The first `count`: sums, JSON for a schema, and calls of tools in turn."""
    return [_exercise(number) for number in range(count)]


def _exercise(number: int) -> Exercise:
    domain, make = _KINDS[number % len(_KINDS)]
    prompt, marks = make(Random(number))
    return Exercise(prompt, domain, marks)


# Small models fail at some of them, large ones at few.
_SUMS: tuple[Callable[[int, int], tuple[str, int]], ...] = (
    lambda a, b: (f"What is {a} + {b}?", a + b),
    lambda a, b: (f"What is {a} times {b}?", a * b),
    lambda a, b: (f"What is {b} % of {a}00?", a * b),
    lambda a, b: (f"Solve {b}x + {a} = {a * b + a} for x.", a),
    lambda a, b: (f"What remains when {7 * a} is divided by {b}?", 7 * a % b),
    lambda a, b: (f"A carton holds {a} jars. How many jars are in {b} cartons if one broke?", a * b - 1),
    lambda a, b: (f"Mira is {a}, her brother is {b} years younger. How old is he in ten years?", a - b + 10),
    lambda a, b: (f"A train goes {a} km in {b} minutes. How far does it go in {3 * b} minutes?", 3 * a),
)
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def _sum(chance: Random) -> tuple[str, Reading]:
    question, known = chance.choice(_SUMS)(chance.randint(20, 99), chance.randint(3, 12))
    prompt = f"{question} Answer with the number only."
    return prompt, lambda answer: {"math": last_number(answer) == known}


def last_number(answer: str) -> Decimal | None:
    """Who explains first says the result last."""
    found = _NUMBER.findall(answer)
    return Decimal(found[-1].replace(",", "")) if found else None


class _Form(BaseModel):
    """What is asked for: `sentence` says the same in words."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Person(_Form):
    name: str
    age: int
    city: str


class Purchase(_Form):
    item: str
    quantity: int
    price: float


class Appointment(_Form):
    occasion: str
    weekday: Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
    hour: int


class SetTimer(_Form):
    minutes: int
    label: str


class GetWeather(_Form):
    city: str
    days: int


class SendMessage(_Form):
    to: str
    text: str


class ConvertCurrency(_Form):
    amount: int
    source: str
    target: str


_FORMS: dict[type[_Form], str] = {
    Person: "{name}, who is {age} years old, lives in {city}.",
    Purchase: "We bought {quantity} {item} at a price of {price:g} each.",
    Appointment: "The {occasion} is on {weekday} at {hour} o'clock.",
}
_TOOLS: dict[type[_Form], str] = {
    SetTimer: 'Set a timer of {minutes} minutes with the label "{label}".',
    GetWeather: "What will the weather be in {city} in the next {days} days?",
    SendMessage: 'Send {to} the message "{text}".',
    ConvertCurrency: "How much is {amount} {source} in {target}?",
}
_VALUES: dict[str, tuple[Any, ...]] = {
    "name": ("Marta", "Idris", "Yuki", "Clara", "Tomas", "Anjali", "Leo", "Femi"),
    "age": tuple(range(18, 91)),
    "city": ("Lisbon", "Oslo", "Nairobi", "Kyoto", "Quito", "Bergen", "Tunis", "Hanoi"),
    "item": ("lamps", "notebooks", "chairs", "lemons", "towels", "batteries"),
    "quantity": tuple(range(2, 41)),
    "price": tuple(quarters / 4 for quarters in range(5, 200)),
    "occasion": ("staff meeting", "piano lesson", "dentist visit", "book club"),
    "weekday": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    "hour": tuple(range(8, 19)),
    "minutes": tuple(range(2, 91)),
    "label": ("bread", "laundry", "tea", "pasta", "eggs"),
    "days": tuple(range(2, 15)),
    "to": ("Marta", "Idris", "Yuki", "Clara", "Tomas", "Anjali", "Leo", "Femi"),
    "text": (
        "I am late",
        "See you soon",
        "Thank you",
        "The door is open",
        "Call me back",
        "Dinner is ready",
        "The train is gone",
        "It rains here",
        "I found your keys",
        "Good luck tomorrow",
    ),
    "amount": tuple(range(5, 501)),
    "source": ("EUR", "USD", "CHF"),
    "target": ("JPY", "GBP", "BRL"),
}


def extraction(chance: Random) -> tuple[str, Reading]:
    """A prompt, and what reads its answer. Two examples instead of a schema: small models copy schemas."""
    form, sentence = chance.choice(list(_FORMS.items()))
    *shown, known = (_drawn(chance, form) for _ in range(3))
    examples = [f"Text: {_said(sentence, each)}\nJSON: {json.dumps(each.model_dump())}" for each in shown]

    def read(answer: str) -> Marks:
        value = first_object(answer)
        filled = _filled(form, value)
        return {
            "valid JSON": value is not None,
            "JSON fits schema": filled is not None,
            "JSON right": filled == known,
        }

    return "\n\n".join([*examples, f"Text: {_said(sentence, known)}\nJSON:"]), read


def call(chance: Random) -> tuple[str, Reading]:
    """As `extraction`; the example calls another tool."""
    (other, other_sentence), (form, sentence) = chance.sample(list(_TOOLS.items()), 2)
    shown, known = _drawn(chance, other), _drawn(chance, form)
    tools = "\n".join(json.dumps({"name": _tool(each), "parameters": _schema(each)}) for each in _TOOLS)

    def read(answer: str) -> Marks:
        value = first_object(answer)
        called = value or {}
        is_named = called.get("name") == _tool(form)
        is_same = is_named and _filled(form, called.get("arguments")) == known
        return {"valid JSON": value is not None, "tool name": is_named, "tool call right": is_same}

    example = json.dumps({"name": _tool(other), "arguments": shown.model_dump()})
    request = (
        f"User: {_said(other_sentence, shown)}\nCall: {example}\n\nUser: {_said(sentence, known)}\nCall:"
    )
    return f"Tools:\n{tools}\n\nAnswer with one call.\n\n{request}", read


def first_object(answer: str) -> dict[str, Any] | None:
    """The first JSON object in an answer, whatever stands around it; None if it cannot be read."""
    start = answer.find("{")
    if start < 0:
        return None
    try:
        value: dict[str, Any] = json.JSONDecoder(parse_constant=_refuse).raw_decode(answer, start)[0]
    except (ValueError, RecursionError):
        return None
    return value


def _refuse(constant: str) -> None:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(constant)


def _drawn(chance: Random, form: type[_Form]) -> _Form:
    return form(**{name: chance.choice(_VALUES[name]) for name in form.model_fields})


def _said(sentence: str, known: _Form) -> str:
    return sentence.format(**known.model_dump())


def _filled(form: type[_Form], value: object) -> _Form | None:
    try:
        return form.model_validate(value)
    except ValidationError:
        return None


@cache
def _schema(form: type[_Form]) -> dict[str, Any]:
    """Without the titles that pydantic adds."""
    whole = form.model_json_schema()
    properties = {
        name: {key: value for key, value in each.items() if key != "title"}
        for name, each in whole["properties"].items()
    }
    required = {"required": whole["required"], "additionalProperties": False}
    return {"type": "object", "properties": properties, **required}


def _tool(form: type[_Form]) -> str:
    """SetTimer is the tool set_timer."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in form.__name__)[1:]


_KINDS = (("math", _sum), ("JSON", extraction), ("tool call", call))
