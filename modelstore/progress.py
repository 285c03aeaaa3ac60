"""How a job of the store reports progress, and how it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True)
class Progress:
    """`phase` is a few words for people: "resolving", "downloading", "verifying", "writing manifest", …
    `completed` of `total` are steps, where there are no bytes to count."""

    phase: str
    detail: str | None = None
    digest: str | None = None
    completed_bytes: int | None = None
    total_bytes: int | None = None
    completed: int | None = None
    total: int | None = None


Emit = Callable[[Progress], None]


class Cancelled(Exception):
    """Raised inside a job once its `cancelled` event is set."""


def check(cancelled: Event) -> None:
    """Raise `Cancelled` once the event is set."""
    if cancelled.is_set():
        raise Cancelled


class Throttle:
    """Passes on at most ten reports a second, but every new phase and every completed one."""

    def __init__(self, emit: Emit, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._phase: str | None = None
        self._next_s = 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        is_complete = progress.total_bytes is not None and progress.completed_bytes == progress.total_bytes
        if progress.phase == self._phase and now < self._next_s and not is_complete:
            return
        self._phase, self._next_s = progress.phase, now + _INTERVAL_S
        self._emit(progress)
