"""How many compute threads the machine has room for.

llama.cpp's threads spin while they wait for each other. One that shares its core with another busy process
makes all the others wait for its turn, so that a single busy neighbour costs ten times its share. Using only
the cores that nobody else is using costs just that share.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import psutil

# A neighbour that is busy for less than this part of a core is let be: threads are whole.
NOTICED_CORES = 0.35
# A program that starts, or a pause of one that works, is over before the second look.
_SAMPLES_TO_AGREE = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """Readings of one moment, in seconds: a clock, the work of all processors, that of this process."""

    at_s: float
    machine_busy_s: float
    own_busy_s: float


class Governor:
    """Pure: samples in, thread count out."""

    def __init__(self, most: int, processors: int, longest_window_s: float = 1.0) -> None:
        """`most` threads on a free machine with `processors` processors.

        Between requests nobody takes samples, and what the machine did meanwhile is of no interest: those
        further apart than `longest_window_s` say nothing, unless there was no rest between them."""
        self.threads = most
        self._longest_window_s = longest_window_s
        self._most = most
        self._processors = processors
        self._last: Sample | None = None
        self._wanted_before: list[int] = []

    def observe(self, sample: Sample, *, may_have_rested: bool = True) -> int:
        """The thread count from now on."""
        last, self._last = self._last, sample
        longest_s = self._longest_window_s if may_have_rested else math.inf
        if last is None or not 0 < sample.at_s - last.at_s <= longest_s:
            self._wanted_before = []
            return self.threads
        self._wanted_before = [*self._wanted_before, self._wanted(last, sample)][-_SAMPLES_TO_AGREE:]
        if len(self._wanted_before) == _SAMPLES_TO_AGREE:
            fewest, most = min(self._wanted_before), max(self._wanted_before)
            self.threads = min(max(self.threads, fewest), most)
        return self.threads

    def _wanted(self, last: Sample, sample: Sample) -> int:
        busy_s = sample.machine_busy_s - last.machine_busy_s
        own_s = sample.own_busy_s - last.own_busy_s
        others = max(0.0, busy_s - own_s) / (sample.at_s - last.at_s)
        taken = int(others) + (others % 1 >= NOTICED_CORES)
        return max(1, min(self._most, self._processors - taken))


def sample() -> Sample:
    """The readings of now."""
    return Sample(time.monotonic(), _machine_busy_s(), time.process_time())


def _machine_busy_s() -> float:
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts guests twice: in their own fields and as user time.
    guests_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle_s - guests_s)
