"""Questions with known answers, made from templates: as many as wanted, always the same. And how many of a
model's answers to them are right, beside the reference's: a few dozen illustrate; KL divergence is evidence.

An answer is only read, never run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import cycle
from random import Random
from typing import Any

from runner.compare.survival import discordant, p_value, share_of_prompts
from runner.wire.compare import ALL_TASKS, Fork, TaskScore

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
    found = []
    for number, (domain, make) in zip(range(count), cycle(_KINDS), strict=False):
        prompt, marks = make(Random(number))
        found.append(Exercise(prompt, domain, marks))
    return found


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


@dataclass(frozen=True, slots=True)
class _Form:
    """JSON that is asked for; `sentence` says the same in words."""

    name: str
    fields: tuple[str, ...]
    sentence: str

    def drawn(self, chance: Random) -> dict[str, Any]:
        return {field: chance.choice(_VALUES[field]) for field in self.fields}

    def said(self, known: dict[str, Any]) -> str:
        return self.sentence.format(**known)

    def fits(self, value: object) -> bool:
        """Whether it has just these fields, each of the kind of value that belongs there."""
        if not isinstance(value, dict) or value.keys() != set(self.fields):
            return False
        return all(_is_like(field, value[field]) for field in self.fields)

    @property
    def schema(self) -> dict[str, Any]:
        types = {field: {"type": _JSON_TYPES[type(_VALUES[field][0])]} for field in self.fields}
        required = {"required": list(self.fields), "additionalProperties": False}
        return {"type": "object", "properties": types, **required}


_JSON_TYPES = {str: "string", int: "integer", float: "number"}
_FORMS = (
    _Form("person", ("name", "age", "city"), "{name}, who is {age} years old, lives in {city}."),
    _Form(
        "purchase", ("item", "quantity", "price"), "We bought {quantity} {item} at a price of {price:g} each."
    ),
    _Form(
        "appointment", ("occasion", "weekday", "hour"), "The {occasion} is on {weekday} at {hour} o'clock."
    ),
)
_TOOLS = (
    _Form("set_timer", ("minutes", "label"), 'Set a timer of {minutes} minutes with the label "{label}".'),
    _Form("get_weather", ("city", "days"), "What will the weather be in {city} in the next {days} days?"),
    _Form("send_message", ("to", "text"), 'Send {to} the message "{text}".'),
    _Form("convert_currency", ("amount", "source", "target"), "How much is {amount} {source} in {target}?"),
)
_PEOPLE = ("Marta", "Idris", "Yuki", "Clara", "Tomas", "Anjali", "Leo", "Femi")
_MESSAGES = (
    "I am late", "See you soon", "Thank you", "The door is open", "Call me back", "Dinner is ready",
    "The train is gone", "It rains here", "I found your keys", "Good luck tomorrow",
)  # fmt: skip
_VALUES: dict[str, tuple[Any, ...]] = {
    "name": _PEOPLE,
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
    "to": _PEOPLE,
    "text": _MESSAGES,
    "amount": tuple(range(5, 501)),
    "source": ("EUR", "USD", "CHF"),
    "target": ("JPY", "GBP", "BRL"),
}


def extraction(chance: Random) -> tuple[str, Reading]:
    """A prompt, and what reads its answer. Two examples instead of a schema: small models copy schemas."""
    form = chance.choice(_FORMS)
    *shown, known = (form.drawn(chance) for _ in range(3))
    examples = [f"Text: {form.said(each)}\nJSON: {json.dumps(each)}" for each in shown]

    def read(answer: str) -> Marks:
        value = first_object(answer)
        return {
            "valid JSON": value is not None,
            "JSON fits schema": form.fits(value),
            "JSON right": form.fits(value) and value == known,
        }

    return "\n\n".join([*examples, f"Text: {form.said(known)}\nJSON:"]), read


def call(chance: Random) -> tuple[str, Reading]:
    """As `extraction`; the example calls another tool."""
    other, form = chance.sample(_TOOLS, 2)
    shown, known = other.drawn(chance), form.drawn(chance)
    tools = "\n".join(json.dumps({"name": each.name, "parameters": each.schema}) for each in _TOOLS)

    def read(answer: str) -> Marks:
        value = first_object(answer)
        called = value or {}
        is_named = called.get("name") == form.name
        arguments = called.get("arguments")
        is_same = is_named and form.fits(arguments) and arguments == known
        return {"valid JSON": value is not None, "tool name": is_named, "tool call right": is_same}

    example = json.dumps({"name": other.name, "arguments": shown})
    request = f"User: {other.said(shown)}\nCall: {example}\n\nUser: {form.said(known)}\nCall:"
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


def _is_like(field: str, value: object) -> bool:
    """Whole numbers may stand for others, and of days of the week there are only these."""
    if field == "weekday":
        return value in _VALUES[field]
    kind = type(_VALUES[field][0])
    return type(value) is kind or (kind is float and type(value) is int)


_KINDS = (("math", _sum), ("JSON", extraction), ("tool call", call))


def marked(forks: Sequence[Fork]) -> dict[str, TaskScore]:
    """As `mark`; of all prompts those that are exercises."""
    known = {each.prompt: each for each in exercises(len(forks))}
    asked = [fork for fork in forks if fork.prompt in known]
    return mark(
        [known[fork.prompt] for fork in asked],
        [fork.reference_text for fork in asked],
        [fork.candidate_text for fork in asked],
    )


def mark(asked: Sequence[Exercise], reference: Sequence[str], answers: Sequence[str]) -> dict[str, TaskScore]:
    """By what is right about answers: first whether all of it is, then each part. All three in the same
    order, one entry an exercise; the result is empty if they are."""
    ours, theirs = _sheet(asked, reference), _sheet(asked, answers)
    return {part: _score(ours[part], theirs[part]) for part in theirs}


def _sheet(asked: Sequence[Exercise], answers: Sequence[str]) -> dict[str, list[bool]]:
    sheet: dict[str, list[bool]] = {}
    for exercise, answer in zip(asked, answers, strict=True):
        marks = exercise.marks(answer)
        for part, is_right in {ALL_TASKS: list(marks.values())[-1], **marks}.items():
            sheet.setdefault(part, []).append(is_right)
    return sheet


def _score(reference: Sequence[bool], answers: Sequence[bool]) -> TaskScore:
    lost, gained = discordant(reference, answers)
    return TaskScore(
        right=share_of_prompts(answers),
        reference_right=share_of_prompts(reference),
        lost=lost,
        gained=gained,
        p_value=p_value(lost, gained),
        outcomes=list(answers),
    )
