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
LOOK_S = 0.25
"""Of computing, that a look at the machine takes at least."""
# A program that starts, or a pause of one that works, is over before the second look.
_LOOKS_TO_AGREE = 2
_ROOMY = 0.75


@dataclass(frozen=True, slots=True)
class Sample:
    """Readings of one moment, in seconds: a clock, and what all processors have done for other processes."""

    at_s: float
    others_s: float


class Governor:
    """Pure: samples in, thread count out. How busy the machine is while this process rests says nothing of
    how much room there is when it computes."""

    def __init__(self, most: int, processors: int, remembers_s: float = 1.0) -> None:
        """`most` threads on a free machine with `processors` processors. After a rest of more than
        `remembers_s` what was seen before it is forgotten."""
        self.threads = self._most = most
        self._processors, self._remembers_s = processors, remembers_s
        self._last = Sample(-math.inf, 0.0)
        self._is_resting = True
        self._span_s = self._others_s = 0.0
        self._wanted_before: list[int] = []

    @property
    def has_room(self) -> bool:
        """For three of four threads at least, as was seen often enough: what is measured then tells of this
        model, not of others, and takes nothing from them."""
        has_looked = len(self._wanted_before) == _LOOKS_TO_AGREE
        return has_looked and self.threads >= _ROOMY * min(self._most, self._processors)

    def observe(self, sample: Sample, *, goes_on: bool = True) -> int:
        """The thread count from now on. `goes_on` is whether something is computed until the next sample."""
        if not self._is_resting:
            self._span_s += sample.at_s - self._last.at_s
            self._others_s += sample.others_s - self._last.others_s
        elif sample.at_s - self._last.at_s > self._remembers_s:
            self._span_s, self._others_s, self._wanted_before = 0.0, 0.0, []
        self._last, self._is_resting = sample, not goes_on
        if self._span_s >= LOOK_S:
            self._wanted_before = [*self._wanted_before, self._wanted()][-_LOOKS_TO_AGREE:]
            self._span_s = self._others_s = 0.0
        if len(self._wanted_before) == _LOOKS_TO_AGREE:
            fewest, most = min(self._wanted_before), max(self._wanted_before)
            self.threads = min(max(self.threads, fewest), most)
        return self.threads

    def _wanted(self) -> int:
        others = max(0.0, self._others_s / self._span_s)
        taken = int(others) + (others % 1 >= NOTICED_CORES)
        return max(1, min(self._most, self._processors - taken))


def sample() -> Sample:
    """The readings of now."""
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts guests twice: in their own fields and as user time.
    guests_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return Sample(time.monotonic(), float(sum(times) - idle_s - guests_s - time.process_time()))
