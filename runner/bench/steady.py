"""When warming up is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

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


def is_steady(durations_s: Sequence[float], agreeing: int = 3, tolerance: float = 1.05) -> bool:
    """Whether the last ones agree, within 5 % if nothing else is said."""
    last = durations_s[-agreeing:]
    return len(last) == agreeing and max(last) <= tolerance * min(last)
