"""When warming up is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

_AGREEING = 3
_TOLERANCE = 1.05
_MOST_REPETITIONS = 10
_LONGEST_S = 60.0


async def warm_up(repeat: Callable[[], Awaitable[float]]) -> bool:
    """Call `repeat`, which returns seconds, until it is steady, but ten times at most and no more after a
    minute; whether it got so."""
    durations_s: list[float] = []
    while len(durations_s) < _MOST_REPETITIONS and sum(durations_s) < _LONGEST_S:
        durations_s.append(await repeat())
        if is_steady(durations_s):
            return True
    return False


def is_steady(durations_s: Sequence[float]) -> bool:
    """Whether the last three differ by 5 % at most."""
    last = durations_s[-_AGREEING:]
    return len(last) == _AGREEING and max(last) <= _TOLERANCE * min(last)
