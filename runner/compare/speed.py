"""Speed, memory and energy of all variants: loaded together where memory allows it, measured in turn."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from modelstore.errors import NybbleError
from native.topology import memory
from runner.compare.disturbance import Disturbances
from runner.compare.first_token import FirstToken, measure_first_token
from runner.compare.memory import ensure_fits, predicted, with_measured
from runner.compare.metering import Meter
from runner.compare.rounds import Rounds, Timings
from runner.compare.sensors import find_sensor
from runner.compare.speed_plan import SpeedPlan
from runner.compare.timed import TimedEngine
from runner.compare.variant import Variant, header_of
from runner.text import clean_name
from runner.wire.compare import CompareProgress, Energy, Estimate, Memory, Speed, SpeedAt

# Of the memory that is free, what models may take when they are loaded beside each other.
_USABLE = 0.8
# Of the steps: what the first take says little of the others.
_GROUND = 0.25
_HINT = "A smaller context or closing other programs helps."


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one variant."""

    memory: Memory
    speed: Speed
    energy: Energy


@dataclass(frozen=True, slots=True)
class Listener:
    """`refused` hears of each variant that cannot be loaded or run, and why."""

    report: Callable[[CompareProgress], None]
    refused: Callable[[Variant, NybbleError], None]


def measure_speed(
    variants: Sequence[Variant], plan: SpeedPlan, listener: Listener, cancelled: Event, root: Path = Path("/")
) -> Iterator[tuple[Variant, Measured]]:
    """Each variant as soon as all of it is known. `root` is where the files of the system's sensors are.

    Raises progress.Cancelled.
    """
    waiting = deque(variants)
    while waiting:
        is_rest = len(waiting) < len(variants)
        together, energies = _measure_together(waiting, plan, listener, cancelled, root)
        if waiting or is_rest:
            _say_apart(together)
        for timings, energy in zip(together, energies, strict=True):
            variant = timings.engine.variant
            listener.report(CompareProgress(phase="speed", detail=f"{variant.name}: first token"))
            is_settings_variant = sum(variant.digest == other.digest for other in variants) > 1
            first = measure_first_token(variant, plan, is_settings_variant, cancelled)
            yield variant, Measured(_memory(timings), _speed(timings, first), energy)


def _measure_together(
    waiting: deque[Variant], plan: SpeedPlan, listener: Listener, cancelled: Event, root: Path
) -> tuple[list[Timings], list[Energy]]:
    """As many of the first as fit into memory; they wait no more."""
    with contextlib.ExitStack() as stack:
        all_waiting = len(waiting)
        engines = _loaded(waiting, plan, listener, stack, cancelled)
        timings = [Timings(engine, plan.within(engine.variant.engine.context_length)) for engine in engines]
        devices = frozenset(device for engine in engines for device in engine.devices)
        meter, disturbances = Meter(lambda: find_sensor(devices, root)), Disturbances(root)
        share = all_waiting / (all_waiting - len(waiting))
        Rounds(timings, meter, disturbances, _steps(timings, share, listener), cancelled).run()
    for each in timings:
        each.warnings += disturbances.warnings()
        if each.failure is not None:
            listener.refused(each.engine.variant, each.failure)
    whole = [each for each in timings if each.failure is None]
    return whole, [meter.result(each.metered) for each in whole]


def _loaded(
    waiting: deque[Variant],
    plan: SpeedPlan,
    listener: Listener,
    stack: contextlib.ExitStack,
    cancelled: Event,
) -> list[TimedEngine]:
    engines: list[TimedEngine] = []
    free_bytes: float = memory().available_bytes
    while waiting:
        variant = waiting[0]
        try:
            need_bytes = predicted(header_of(variant.path, variant.size_bytes), variant.engine).total_bytes
            if engines and need_bytes > _USABLE * min(free_bytes, engines[-1].free_on_gpus_bytes):
                break
            # Alone. Of a GPU's memory the driver knows more than we do.
            if not engines and not variant.engine.gpu_layers:
                ensure_fits(clean_name(variant.name), need_bytes, free_bytes, _HINT)
            engines.append(stack.enter_context(TimedEngine.running(variant, plan.text, cancelled)))
            free_bytes -= need_bytes
        except NybbleError as error:
            listener.refused(variant, error)
        waiting.popleft()
    return engines


def _memory(timings: Timings) -> Memory:
    variant, loaded = timings.engine.variant, timings.engine.loaded
    decided = replace(variant.engine, flash_attention=loaded["flash_attention"])
    return with_measured(predicted(header_of(variant.path), decided), loaded["buffers"], timings.grown_bytes)


def _say_apart(together: Sequence[Timings]) -> None:
    for timings in together:
        others = [other.engine.variant.name for other in together if other is not timings]
        with_whom = f"beside {', '.join(others)} only" if others else "alone"
        timings.warnings.append(f"measured {with_whom}: memory was not enough to load all at once")


def _steps(
    together: Sequence[Timings], all_by_these: float, listener: Listener
) -> Callable[[str, str], None]:
    """Reports each step with how many there are, of those that are known beforehand; and how long it will be
    until all variants are measured, once a good part is done."""
    total = sum(
        each.plan.loads + 2 * len(each.plan.depths) * (1 + each.plan.repetitions) for each in together
    )
    done, started_s = 0, time.monotonic()

    def step(name: str, what: str) -> None:
        nonlocal done
        now = CompareProgress(phase="speed", detail=f"{name}: {what}", completed=done, total=total)
        if done >= total * _GROUND:
            elapsed_s = time.monotonic() - started_s
            now.remaining_s = elapsed_s * (all_by_these * total / done - 1)
        listener.report(now)
        done = min(done + 1, total)

    return step


def _speed(timings: Timings, first: FirstToken) -> Speed:
    """Without the time to answer."""
    plan = timings.plan
    rows = []
    for depth in plan.depths:
        if plan.tests(depth)[1] in timings.repetitions:
            prefill, decode = map(timings.tokens_per_second, plan.tests(depth))
            rows.append(SpeedAt(depth=depth, prefill_tps=prefill, decode_tps=decode))
    return Speed(
        prompt_tokens=plan.prompt_tokens,
        generate_tokens=plan.generate_tokens,
        depths=rows,
        load_cold_s=timings.load(cold=True),
        load_warm_s=timings.load(cold=False),
        server_ttft_s=first.server,
        client_ttft_s=first.client,
        cold_ttft_s=first.cold,
        time_to_answer_s=Estimate(reason="the tokens of an answer are not known"),
        warnings=timings.warnings,
    )
