"""What else the machine does while something is measured."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from runner.text import clean_name

_NOTICED_CORES = 0.1


@dataclass(frozen=True, slots=True)
class Neighbour:
    """`cores` it kept busy on average. `pid` is None for all processes together that have ended."""

    pid: int | None
    name: str
    cores: float

    def __str__(self) -> str:
        return f"{clean_name(self.name)} ({self.cores:.2f} cores)"


class Watch:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._before_s = _processor_times_s()
        psutil.cpu_percent()

    def busy(self, ours: set[int]) -> list[Neighbour]:
        """All but the processes `ours` that used more than a tenth of a core, busiest first."""
        machine_cores = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        elapsed_s = time.monotonic() - self._started_s
        cores = {
            key: (after_s - self._before_s.get(key, 0.0)) / elapsed_s
            for key, after_s in _processor_times_s().items()
        }
        found = [Neighbour(pid, _name(pid), used) for (pid, _), used in cores.items() if pid not in ours]
        found.append(Neighbour(None, "processes that ended", machine_cores - sum(cores.values())))
        noticed = [neighbour for neighbour in found if neighbour.cores > _NOTICED_CORES]
        return sorted(noticed, key=lambda neighbour: neighbour.cores, reverse=True)


def busiest(neighbours: Iterable[Neighbour]) -> str:
    """The three that took most, for people."""
    return ", ".join(map(str, sorted(neighbours, key=lambda each: -each.cores)[:3]))


def families(pids: Iterable[int]) -> set[int]:
    """Processes and all their descendants."""
    found = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found |= {pid, *(child.pid for child in process.children(recursive=True))}
    return found


def _processor_times_s() -> dict[tuple[int, float], float]:
    """By pid and start time: pids are used again."""
    found = {}
    for process in psutil.process_iter(["cpu_times", "create_time"]):
        # None for a process that is not ours to look at.
        if times := process.info["cpu_times"]:
            found[process.pid, process.info["create_time"]] = times.user + times.system
    return found


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return f"process {pid}"
