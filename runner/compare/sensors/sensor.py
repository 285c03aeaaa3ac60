"""What all sensors have in common."""

from __future__ import annotations

from typing import Protocol


class NotMeasurable(Exception):
    """Why there is no figure, and how to allow it: a sentence for the user without a full stop."""


class Sensor(Protocol):
    """A counter of joules. `covers` is what it counts the energy of ("CPU package"), `window_s` the shortest
    time that its figures are good for."""

    name: str
    covers: str
    window_s: float

    def joules(self) -> float:
        """Counted since some moment, never less than before. Must be asked at least once a second or two.

        Raises NotMeasurable if it cannot be read any more."""
        ...


class Together:
    """Two sensors of different parts of the computer."""

    def __init__(self, first: Sensor, second: Sensor) -> None:
        self._parts = (first, second)
        self.name = f"{first.name} and {second.name}"
        self.covers = f"{first.covers} and {second.covers}"
        self.window_s = max(first.window_s, second.window_s)

    def joules(self) -> float:
        return sum(part.joules() for part in self._parts)
