"""What time it is: one value, so that a picture of the screen can be made with the time standing still."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


def _local_now() -> datetime:
    return datetime.now().astimezone()


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is the time of day with its zone; `elapsed_s` counts seconds steadily, for durations."""

    now: Callable[[], datetime] = _local_now
    elapsed_s: Callable[[], float] = time.monotonic
