"""Two runs beside each other. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from runner.bench.figures import Figure
from runner.bench.runs import Run

_SPREADS = 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """One figure then and now."""

    before: Figure
    now: Figure

    @property
    def fraction(self) -> float:
        """0.03 for 3 % more."""
        return self.now.value / self.before.value - 1

    @property
    def verdict(self) -> str | None:
        """Better, worse, or within ±: at most twice the standard deviation of such a difference,
        √(a² + b²). None if that is unknown. A machine that others used says nothing of what has changed."""
        if self.before.disturbed or self.now.disturbed:
            return "disturbed"
        if self.before.spread is None or self.now.spread is None:
            return None
        spread = math.hypot(self.before.spread, self.now.spread)
        if abs(self.now.value - self.before.value) <= _SPREADS * spread:
            return "within ±"
        return "better" if (self.fraction > 0) == (self.now.unit == "tok/s") else "worse"


def changes(before: Run, now: Run) -> list[Change]:
    """Of what both have measured."""
    old = {figure.name: figure for figure in before.figures}
    return [Change(old[figure.name], figure) for figure in now.figures if figure.name in old]


def differences(before: Run, now: Run) -> list[str]:
    """What was not the same, such as "threads: 2, now 1"."""
    keys = dict.fromkeys([*before.setup, *now.setup])
    pairs = [(key, before.setup.get(key, "-"), now.setup.get(key, "-")) for key in keys]
    return [f"{key}: {then}, now {today}" for key, then, today in pairs if then != today]


def as_fields(before: Run, now: Run) -> dict[str, Any]:
    """All of it, for JSON."""
    rows = [
        {"name": change.now.name, "fraction": change.fraction, "verdict": change.verdict}
        for change in changes(before, now)
    ]
    return {"run": before.fields(), "differences": differences(before, now), "changes": rows}
