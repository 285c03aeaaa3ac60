"""A circuit breaker for models whose process dies again and again: pure, told the time by its caller."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from modelstore.errors import NybbleError
from runner.errors import KeepsCrashing

DEATHS = 3
WINDOW_S = 60.0
PAUSE_S = 60.0


@dataclass(slots=True)
class Breaker:
    """Refuses a key for `PAUSE_S` after `DEATHS` deaths within `WINDOW_S`; then it may try again."""

    _deaths: dict[str, list[tuple[float, NybbleError]]] = field(default_factory=dict)

    def on_death(self, key: str, reason: NybbleError, now_s: float) -> None:
        """The process of `key` died before it had answered anybody."""
        self._deaths[key] = [*self._deaths.get(key, []), (now_s, reason)][-DEATHS:]

    def on_success(self, key: str) -> None:
        self._deaths.pop(key, None)

    def refusal(self, key: str, now_s: float) -> KeepsCrashing | None:
        deaths = self._deaths.get(key, [])
        if len(deaths) < DEATHS or deaths[-1][0] - deaths[0][0] > WINDOW_S:
            return None
        last_s, reason = deaths[-1]
        wait_s = last_s + PAUSE_S - now_s
        if wait_s <= 0:
            return None
        return KeepsCrashing(
            f"not started again for {math.ceil(wait_s)} s, after {DEATHS} deaths without an answer;"
            f" the last: {reason.message}",
            hint="`nybble logs` has llama.cpp's words; less context_length or gpu_layers = 0 may help",
            retry_after_s=wait_s,
        )
