"""Questions with known answers, made from templates: as many as wanted, always the same.

An answer is only read, never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from runner.compare.json_exercises import call, extraction

Marks = dict[str, bool]
"""What about an answer is right; the last is the strictest."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """`domain` is its kind of text; `marks` reads an answer."""

    prompt: str
    domain: str
    marks: Callable[[str], Marks]


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


def _sum(chance: Random) -> tuple[str, Callable[[str], Marks]]:
    question, known = chance.choice(_SUMS)(chance.randint(20, 99), chance.randint(3, 12))
    prompt = f"{question} Answer with the number only."
    return prompt, lambda answer: {"math": last_number(answer) == known}


def last_number(answer: str) -> Decimal | None:
    """Who explains first says the result last."""
    found = _NUMBER.findall(answer)
    return Decimal(found[-1].replace(",", "")) if found else None


_KINDS = (("math", _sum), ("JSON", extraction), ("tool call", call))
