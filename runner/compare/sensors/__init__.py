"""Counters of energy. Each says what it covers; where none can be read, why not and how to allow it."""

from __future__ import annotations

import sys
from pathlib import Path

from runner.compare.sensors.apple import Apple
from runner.compare.sensors.battery import Battery
from runner.compare.sensors.nvidia import Nvidia
from runner.compare.sensors.rapl import Rapl
from runner.compare.sensors.sensor import NotMeasurable, Sensor, Together

__all__ = ["NotMeasurable", "Sensor", "find_sensor"]


def find_sensor(devices: frozenset[str], root: Path = Path("/")) -> Sensor:
    """What counts the energy of ggml's `devices`. `root` is where the system's files are.

    Raises NotMeasurable, with what to do about it.
    """
    if sys.platform == "darwin":
        return Apple()
    if sys.platform == "win32":
        raise NotMeasurable("Windows gives its energy meters to drivers only, not to programs like this")
    if devices <= {"CPU"}:
        return _of_processor(root)
    if not all(device.startswith("CUDA") for device in devices - {"CPU"}):
        raise NotMeasurable(f"{', '.join(sorted(devices - {'CPU'}))} has no counter that is known here")
    gpu = Nvidia()
    try:
        return Together(gpu, Rapl(root))
    except NotMeasurable:
        return gpu


def _of_processor(root: Path) -> Sensor:
    try:
        return Rapl(root)
    except NotMeasurable as error:
        try:
            return Battery(root)
        except NotMeasurable as other:
            raise NotMeasurable(f"{error}; {other}") from None
