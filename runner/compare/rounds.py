"""The engines of several variants, loaded together and measured in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from runner.bench.plan import Test
from runner.bench.steady import is_steady
from runner.compare import spread
from runner.compare.disturbance import Disturbances
from runner.compare.energy import Metered
from runner.compare.metering import Meter
from runner.compare.speed_plan import SpeedPlan, slowdown, there_and_back
from runner.compare.timed import TimedEngine
from runner.errors import WorkerFailed
from runner.system import drop_from_memory
from runner.wire.compare import Estimate

# Of a file whose pages were dropped, some are back before they are counted.
_STILL_COLD = 0.02
_SLOWED_DOWN = 0.1


@dataclass(slots=True)
class Timings:
    """One variant's, in seconds. Warm-ups are not among them; tests whose warm-up did not end are `unsteady`.
    `grown_bytes` is what its process took more, before it is loaded again; `warnings` are sentences for the
    user. Behind a `failure` nothing is measured any more."""

    engine: TimedEngine
    plan: SpeedPlan
    repetitions: dict[Test, list[float]] = field(default_factory=dict)
    loads_cold: list[float] = field(default_factory=list)
    loads_warm: list[float] = field(default_factory=list)
    not_cold: str | None = None
    metered: Metered = field(default_factory=Metered)
    unsteady: list[Test] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    grown_bytes: int = 0
    failure: WorkerFailed | None = None

    def tokens_per_second(self, test: Test) -> Estimate:
        return spread.median([test.tokens / taken_s for taken_s in self.repetitions[test]])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around what may fail for this variant and leave the others as they are."""
        try:
            yield
        except WorkerFailed as error:
            self.failure = error

    def load(self, *, cold: bool) -> Estimate:
        samples = self.loads_cold if cold else self.loads_warm
        return spread.median(samples) if samples else Estimate(reason=self.not_cold or "not measured")


@dataclass(frozen=True, slots=True)
class Rounds:
    """Measures every variant's loads, prefill and decode. `step` is told what is done next."""

    timings: Sequence[Timings]
    meter: Meter
    disturbances: Disturbances
    step: Callable[[str, str], None]
    cancelled: Event
    _started_s: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Raises progress.Cancelled."""
        self._rest()
        for depth in sorted({depth for timings in self.timings for depth in timings.plan.depths}):
            able = self._able(depth)
            for kind in (0, 1):
                self._measure([(each, each.plan.tests(depth)[kind]) for each in able])
                self.disturbances.look()
        for timings in self._whole():
            with timings.running():
                timings.grown_bytes = timings.engine.grown_bytes()
                self._measure_loads(timings)
        self._rest()
        for timings in self.timings:
            timings.warnings += [*_unsteady(timings), *_slowed_down(timings)]

    def _whole(self) -> list[Timings]:
        return [timings for timings in self.timings if timings.failure is None]

    def _able(self, depth: int) -> list[Timings]:
        """Whose tests at this depth fit in the context and in the time; of others the reason is kept."""
        budget_s = sum(timings.plan.budget_s for timings in self.timings)
        is_late = time.monotonic() - self._started_s > budget_s
        able = []
        for timings in self._whole():
            if depth not in timings.plan.depths:
                continue
            if depth and (is_late or _seconds_to(depth, timings) > timings.plan.most_s):
                why = "there was no time left" if is_late else "computing so many tokens takes too long"
                timings.warnings.append(f"depth {depth} left out: {why}")
            else:
                able.append(timings)
        return able

    def _measure_loads(self, timings: Timings) -> None:
        """Cold and warm in turn, as long as there is time."""
        started_s = time.monotonic()
        for _ in range(timings.plan.loads):
            self.step(timings.engine.variant.name, "loading")
            timings.engine.unload()
            timings.not_cold = timings.not_cold or why_not_cold(timings.engine.variant.path)
            if timings.not_cold is None:
                timings.loads_cold.append(timings.engine.load())
                timings.engine.unload()
            timings.loads_warm.append(timings.engine.load())
            if time.monotonic() - started_s > timings.plan.most_s:
                break

    def _rest(self) -> None:
        watts = self.meter.idle_watts(self.cancelled)
        if watts is not None:
            for timings in self.timings:
                timings.metered.idle_watts.append(watts)

    def _measure(self, tests: Sequence[tuple[Timings, Test]]) -> None:
        """Every variant's test: warmed up, and then in turn."""
        for timings, test in tests:
            self.step(timings.engine.variant.name, f"{test.name}: warming up")
            with timings.running():
                _warm_up(timings, test)
        most = max((timings.plan.repetitions for timings, _ in tests), default=0)
        for number, order in enumerate(there_and_back(len(tests), most)):
            for index in order:
                timings, test = tests[index]
                taken_s = timings.repetitions.setdefault(test, [])
                if timings.failure or (len(taken_s) >= 2 and sum(taken_s) >= timings.plan.most_s):
                    continue
                self.step(timings.engine.variant.name, test.name)
                with timings.running():
                    self._repeat(timings, test, number)

    def _repeat(self, timings: Timings, test: Test, number: int) -> None:
        """Once, or as long as the sensor wants."""
        window_s = self.meter.window_s if test.depth == 0 else None
        if window_s is None or (number > 0 and (number + 1) * window_s > timings.plan.energy_s):
            timings.repetitions[test].append(timings.engine.seconds(test))
            return
        before, started_s, tokens, elapsed_s = self.meter.joules(), time.monotonic(), 0, 0.0
        while elapsed_s < window_s:
            timings.repetitions[test].append(timings.engine.seconds(test))
            tokens += test.tokens
            elapsed_s = time.monotonic() - started_s
            self.meter.joules()
        window = self.meter.since(before, time.monotonic() - started_s, tokens)
        if window is not None:
            metered = timings.metered.prompt if test.prompt_tokens else timings.metered.generated
            metered.append(window)


def why_not_cold(file: Path) -> str | None:
    """Drop a file from memory; None if it is gone, else why its next load is not a cold one."""
    try:
        left = drop_from_memory(file)
    except OSError as error:
        return f"the file could not be dropped from memory: {error.strerror}"
    if left is None:
        return "this system does not let a program drop a file from memory, so every load is a warm one"
    if left > _STILL_COLD:
        return f"{left:.0%} of the file stayed in memory: another process uses it"
    return None


def _seconds_to(depth: int, timings: Timings) -> float:
    """How long it takes to compute that many tokens, by the fastest prefill so far."""
    prefill, _ = timings.plan.tests(0)
    return depth * min(timings.repetitions[prefill]) / prefill.tokens


def _warm_up(timings: Timings, test: Test) -> None:
    """Until two repetitions agree within 3 %, or it has taken half the time of a test."""
    taken_s: list[float] = []
    while not is_steady(taken_s, agreeing=2, tolerance=1.03):
        if sum(taken_s) > timings.plan.most_s / 2:
            return
        if len(taken_s) == timings.plan.most_warm_ups:
            timings.unsteady.append(test)
            return
        taken_s.append(timings.engine.seconds(test))


def _unsteady(timings: Timings) -> list[str]:
    names = ", ".join(test.name for test in timings.unsteady)
    return [f"did not get steady, repetitions differ by more than 3 %: {names}"] if names else []


def _slowed_down(timings: Timings) -> list[str]:
    """Of prefill and decode that took longer and longer."""
    names = ", ".join(
        f"{test.name} by {slower:.0%}"
        for test, taken_s in timings.repetitions.items()
        if (slower := slowdown(taken_s)) > _SLOWED_DOWN
    )
    return [f"became slower from first to last (heat, a power limit or other work): {names}"] if names else []
