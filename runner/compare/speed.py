"""Speed and energy of all variants: loaded together where memory allows it, measured in turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

from native.topology import memory
from runner.compare.answering import with_answer
from runner.compare.disturbance import Disturbances
from runner.compare.first_token import FirstToken, measure_first_token
from runner.compare.memory import header_of, predicted
from runner.compare.metering import Meter
from runner.compare.rounds import Rounds, Timings
from runner.compare.sensors import find_sensor
from runner.compare.speed_plan import SpeedPlan
from runner.compare.spread import unknown
from runner.compare.timed import TimedEngine
from runner.compare.variant import Variant
from runner.errors import DoesNotFit
from runner.text import clean_name
from runner.wire.compare import CompareProgress, Energy, Speed, SpeedAt

Report = Callable[[CompareProgress], None]

# Of the memory that is free, what models may take when they are loaded beside each other.
_USABLE = 0.8
# Of the steps: the first are loads, which say nothing of the others.
_GROUND = 0.25


def measure_speed(
    variants: Sequence[Variant],
    plan: SpeedPlan,
    report: Report,
    cancelled: Event,
    root: Path = Path("/"),
) -> Iterator[tuple[Variant, Speed, Energy]]:
    """Each variant as soon as all of it is known. `root` is where the files of the system's sensors are.

    Raises Unusable and InvalidModel for a file that cannot be loaded, DoesNotFit, WorkerFailed, and
    progress.Cancelled.
    """
    measured: list[Timings] = []
    while len(measured) < len(variants):
        together, energies = _measure_together(variants[len(measured) :], plan, report, cancelled, root)
        measured += together
        if len(together) < len(variants):
            _say_apart(together)
        for timings, energy in zip(together, energies, strict=True):
            variant = timings.engine.variant
            report(CompareProgress(phase="speed", detail=f"{variant.name}: first token"))
            is_settings_variant = sum(variant.digest == other.digest for other in variants) > 1
            first = measure_first_token(variant, plan, is_settings_variant, cancelled)
            yield variant, *with_answer(_speed(timings, first), energy, plan.answer_tokens)


def _measure_together(
    variants: Sequence[Variant], plan: SpeedPlan, report: Report, cancelled: Event, root: Path
) -> tuple[list[Timings], list[Energy]]:
    """As many of the first as fit into memory."""
    with contextlib.ExitStack() as stack:
        engines = _loaded(variants, plan, stack, cancelled)
        timings = [Timings(engine, plan.within(engine.variant.engine.context_length)) for engine in engines]
        devices = frozenset(device for engine in engines for device in engine.devices)
        meter, disturbances = Meter(lambda: find_sensor(devices, root)), Disturbances(root)
        steps = _steps(timings, len(variants) / len(timings), report)
        Rounds(timings, meter, disturbances, steps, cancelled).run()
    for each in timings:
        each.warnings += disturbances.warnings()
    return timings, [meter.result(each.metered) for each in timings]


def _loaded(
    variants: Sequence[Variant], plan: SpeedPlan, stack: contextlib.ExitStack, cancelled: Event
) -> list[TimedEngine]:
    engines: list[TimedEngine] = []
    free_bytes: float = memory().available_bytes
    for variant in variants:
        need_bytes = predicted(header_of(variant), variant.engine).total_bytes
        if not engines and not variant.engine.gpu_layers and need_bytes > free_bytes:
            raise DoesNotFit(
                f"{clean_name(variant.name)} needs {need_bytes / 1e9:.1f} GB of memory, and"
                f" {free_bytes / 1e9:.1f} GB are free",
                hint="A smaller context or closing other programs helps.",
            )
        if engines and need_bytes > _USABLE * min(free_bytes, engines[-1].free_on_gpus_bytes):
            break
        engines.append(stack.enter_context(TimedEngine.running(variant, plan.text, cancelled)))
        free_bytes -= need_bytes
    return engines


def _say_apart(together: Sequence[Timings]) -> None:
    for timings in together:
        others = [other.engine.variant.name for other in together if other is not timings]
        with_whom = f"beside {', '.join(others)} only" if others else "alone"
        timings.warnings.append(f"measured {with_whom}: memory was not enough to load all at once")


def _steps(together: Sequence[Timings], all_by_these: float, report: Report) -> Callable[[str, str], None]:
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
        report(now)
        done = min(done + 1, total)

    return step


def _speed(timings: Timings, first: FirstToken) -> Speed:
    """Without the time to answer."""
    plan = timings.plan
    rows = [
        SpeedAt(
            depth=depth,
            prefill_tps=timings.tokens_per_second(plan.tests(depth)[0]),
            decode_tps=timings.tokens_per_second(plan.tests(depth)[1]),
        )
        for depth in plan.depths
        if plan.tests(depth)[1] in timings.repetitions
    ]
    return Speed(
        prompt_tokens=plan.prompt_tokens,
        generate_tokens=plan.generate_tokens,
        depths=rows,
        load_cold_s=timings.load(cold=True),
        load_warm_s=timings.load(cold=False),
        server_ttft_s=first.server,
        client_ttft_s=first.client,
        cold_ttft_s=first.cold,
        time_to_answer_s=unknown("the tokens of an answer are not known"),
        warnings=timings.warnings,
    )
