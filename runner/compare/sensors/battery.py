"""The power that a laptop's battery gives, under Linux."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from runner.compare.sensors.sensor import NotMeasurable

_SUPPLIES = "sys/class/power_supply"


@dataclass(frozen=True, slots=True)
class Charge:
    """`fraction` None is unknown."""

    is_discharging: bool
    fraction: float | None


def charge(root: Path) -> Charge | None:
    """Of the computer's batteries together; None if it has none. That of a mouse does not count."""
    batteries = _batteries(root)
    if not batteries:
        return None
    percents = [percent for each in batteries if (percent := _number(each / "capacity")) is not None]
    return Charge(
        any(_text(each / "status") == "Discharging" for each in batteries),
        sum(percents) / len(percents) / 100 if percents else None,
    )


class Battery:
    """Watts that the battery reports, added up from one question to the next."""

    name = "battery"
    covers = "whole laptop (battery)"
    # Firmware renews its figure every few seconds.
    window_s = 20.0

    def __init__(self, root: Path) -> None:
        """Raises NotMeasurable."""
        self._root = root
        if not _batteries(root):
            raise NotMeasurable("there is no battery whose drain could be read")
        self._watts = self._read()
        self._at_s = time.monotonic()
        self._joules = 0.0

    def joules(self) -> float:
        watts, now_s = self._read(), time.monotonic()
        self._joules += (self._watts + watts) / 2 * (now_s - self._at_s)
        self._watts, self._at_s = watts, now_s
        return self._joules

    def _read(self) -> float:
        state = charge(self._root)
        if state is None or not state.is_discharging:
            raise NotMeasurable("the battery shows what the computer takes only while it is not plugged in")
        return sum(_watts(each) for each in _batteries(self._root))


def _watts(battery: Path) -> float:
    power = _number(battery / "power_now")
    if power is not None:
        return abs(power) / 1e6
    current, voltage = _number(battery / "current_now"), _number(battery / "voltage_now")
    if current is None or voltage is None:
        raise NotMeasurable("the battery does not say how much power it gives")
    return abs(current) * voltage / 1e12


def _batteries(root: Path) -> list[Path]:
    return [
        folder
        for folder in sorted((root / _SUPPLIES).glob("*"))
        if _text(folder / "type") == "Battery" and _text(folder / "scope") != "Device"
    ]


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.lstrip("-").isdecimal() else None


def _text(file: Path) -> str:
    """ "" for a file that is not there: each model of battery has another choice."""
    try:
        return file.read_text("ascii", "replace").strip()
    except OSError:
        return ""
