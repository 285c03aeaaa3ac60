"""The processor's own counter under Linux (RAPL through powercap; Intel, and AMD since Zen)."""

from __future__ import annotations

from pathlib import Path

from runner.compare.sensors.sensor import NotMeasurable

_ZONES = "sys/class/powercap"
_ALLOW = (
    "an administrator can allow it to all users with this line in /etc/udev/rules.d/70-rapl.rules, and a "
    'restart: SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chmod a+r %S%p/energy_uj"'
)


class Rapl:
    """The whole platform where it is counted (psys), else all processor packages, with their memory where
    that has a counter of its own."""

    name = "RAPL"
    window_s = 2.0

    def __init__(self, root: Path) -> None:
        """Raises NotMeasurable."""
        zones = {folder: _text(folder / "name") for folder in sorted((root / _ZONES).glob("intel-rapl:*"))}
        platform = [folder for folder, name in zones.items() if name == "psys"]
        packages = [folder for folder, name in zones.items() if name.startswith("package")]
        memory = [folder for folder, name in zones.items() if name == "dram"]
        if not platform and not packages:
            raise NotMeasurable("the processor shows no energy counter (virtual machines rarely do)")
        self.covers = "whole platform" if platform else "CPU package and memory" if memory else "CPU package"
        self._counters = [_Counter(folder) for folder in platform or packages + memory]

    def joules(self) -> float:
        return sum(counter.microjoules() for counter in self._counters) / 1e6


class _Counter:
    """One zone. Its file starts again at 0 after `max_energy_range_uj`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self._range = int(_text(folder / "max_energy_range_uj"))
        self._last = self._read()
        self._total = 0

    def microjoules(self) -> int:
        now = self._read()
        self._total += now - self._last if now >= self._last else now - self._last + self._range
        self._last = now
        return self._total

    def _read(self) -> int:
        return int(_text(self._file))


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except PermissionError:
        raise NotMeasurable(f"the processor's energy counter is for administrators only; {_ALLOW}") from None
    except OSError as error:
        raise NotMeasurable(f"the processor's energy counter cannot be read: {error.strerror}") from None
