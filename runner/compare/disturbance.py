"""What disturbs a measurement: other processes, heat, a battery. Each is named."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

from runner.bench.neighbours import Neighbour, Watch, busiest, families
from runner.compare.sensors.battery import Charge, charge

_THROTTLED = "sys/devices/system/cpu/cpu*/thermal_throttle/*_throttle_count"


class Disturbances:
    """Looks on from when it is made. `busiest` are other processes, by pid and name, at their busiest; `root`
    is where the system's files are."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self.busiest: dict[tuple[int | None, str], Neighbour] = {}
        self._watch = Watch()
        self._throttled = _throttle_count(root)
        self._charge = _charge(root)

    def look(self) -> None:
        """Note who was busy since the last look: looking seldom would let a short disturbance pass."""
        for found in self._watch.busy(families([os.getpid()])):
            key = found.pid, found.name
            if key not in self.busiest or self.busiest[key].cores < found.cores:
                self.busiest[key] = found
        self._watch = Watch()

    def warnings(self) -> list[str]:
        """Sentences for the user."""
        return [*self._neighbours(), *self._heat(), *self._battery()]

    def _neighbours(self) -> list[str]:
        names = busiest(self.busiest.values())
        return [f"other processes took the CPU meanwhile: {names}"] if names else []

    def _heat(self) -> list[str]:
        times = _throttle_count(self._root) - self._throttled
        return [f"the processor slowed itself down {times} times because of heat"] if times > 0 else []

    def _battery(self) -> list[str]:
        before, now = self._charge, _charge(self._root)
        if before is None or now is None:
            return []
        if before.is_discharging != now.is_discharging:
            what = "unplugged" if now.is_discharging else "plugged in"
            return [f"the computer was {what} in the middle: power limits may have changed"]
        if not now.is_discharging:
            return []
        if before.fraction is None or now.fraction is None:
            return ["measured on battery, where processors may be slower"]
        return [f"measured on battery, which went from {before.fraction:.0%} to {now.fraction:.0%}"]


def _throttle_count(root: Path) -> int:
    """0 where the system does not count."""
    total = 0
    for file in root.glob(_THROTTLED):
        with suppress(OSError, ValueError):
            total += int(file.read_text("ascii"))
    return total


def _charge(root: Path) -> Charge | None:
    """By Linux's files, or as psutil knows it on other systems."""
    if psutil.LINUX:
        return charge(root)
    battery = psutil.sensors_battery()
    return None if battery is None else Charge(not battery.power_plugged, battery.percent / 100)
