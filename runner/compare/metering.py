"""A sensor read beside the work, until it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event

from modelstore import progress
from runner.compare.energy import Metered, Window, energy, not_measured
from runner.compare.sensors import NotMeasurable, Sensor
from runner.wire.compare import Energy

_IDLE_POLL_S = 0.5


class Meter:
    """Windows of energy, or the reason why there are none."""

    def __init__(self, find: Callable[[], Sensor]) -> None:
        """`find` may raise NotMeasurable."""
        self._reason = ""
        self._sensor: Sensor | None = None
        try:
            self._sensor = find()
        except NotMeasurable as error:
            self._give_up(error)

    @property
    def window_s(self) -> float | None:
        """How long a window must be at least; None if nothing is measured."""
        return self._sensor.window_s if self._sensor else None

    def joules(self) -> float | None:
        try:
            return self._sensor.joules() if self._sensor else None
        except NotMeasurable as error:
            self._give_up(error)
        return None

    def idle_watts(self, cancelled: Event) -> float | None:
        """What the machine takes while nothing is done here, over one window. Raises progress.Cancelled."""
        before, started_s = self.joules(), time.monotonic()
        while self._sensor and (elapsed_s := time.monotonic() - started_s) < self._sensor.window_s:
            cancelled.wait(min(_IDLE_POLL_S, self._sensor.window_s - elapsed_s))
            progress.check(cancelled)
            self.joules()
        after, elapsed_s = self.joules(), time.monotonic() - started_s
        return None if before is None or after is None else (after - before) / elapsed_s

    def since(self, before: float | None, seconds: float, tokens: int) -> Window | None:
        """The window that began when the counter stood at `before`."""
        now = self.joules()
        return None if before is None or now is None else Window(now - before, seconds, tokens)

    def result(self, metered: Metered) -> Energy:
        """Nothing that was counted before a sensor failed is shown: part of it may be wrong."""
        if self._sensor is None:
            return not_measured(self._reason)
        return energy(self._sensor.name, self._sensor.covers, metered)

    def _give_up(self, error: NotMeasurable) -> None:
        self._sensor = None
        self._reason = f"not measurable here: {error}"
