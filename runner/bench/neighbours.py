"""What else the machine does while something is measured."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

_NOTICED_CORES = 0.1


class Watch:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._before_s = _processor_times_s()
        psutil.cpu_percent()

    def busy(self, ours: set[int]) -> list[str]:
        """Each process but `ours` that used more than a tenth of a core on average, busiest first, such as
        "python 0.95 cores"; and what cannot be laid to a process that is still there."""
        machine_cores = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
        elapsed_s = time.monotonic() - self._started_s
        cores = {
            key: (after_s - self._before_s.get(key, 0.0)) / elapsed_s
            for key, after_s in _processor_times_s().items()
        }
        others = {key: used for key, used in cores.items() if key[0] not in ours}
        named = sorted(((used, _name(pid)) for (pid, _), used in others.items()), reverse=True)
        rest = machine_cores - sum(cores.values())
        entries = [*named, (rest, "processes that came and went")]
        return [f"{name} {used:.2f} cores" for used, name in entries if used > _NOTICED_CORES]


def families(pids: Iterable[int]) -> set[int]:
    """Processes and all their descendants."""
    found = set()
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found |= {pid, *(child.pid for child in process.children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
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
