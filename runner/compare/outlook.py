"""How long the rest of a comparison takes, by the speed of what was computed so far. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Literal

Activity = Literal["reading", "sampling", "answering"]
"""Tokens read many at once, written in many texts at once, and in few."""

Work = Counter[Activity]
"""Tokens, of one model."""


class Outlook:
    """`later` is the work of all parts behind the one that runs, None while nobody can say."""

    def __init__(self) -> None:
        self.later: Work | None = None
        self._tokens: Counter[Activity] = Counter()
        self._seconds: dict[Activity, float] = {}

    def took(self, activity: Activity, tokens: int, seconds: float) -> None:
        self._tokens[activity] += tokens
        self._seconds[activity] = self._seconds.get(activity, 0.0) + seconds

    def remaining_s(self, now: Work) -> float | None:
        """Of `now`, which is left of the part that runs, and all that follows. None without ground for any
        of it."""
        if self.later is None:
            return None
        left = now + self.later
        if any(not self._tokens[each] for each in left):
            return None
        return sum(tokens * self._seconds[each] / self._tokens[each] for each, tokens in left.items())
