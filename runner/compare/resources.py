"""Memory, speed and energy of variants, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelstore import progress
from modelstore.errors import Unusable
from runner.compare.memory import measure_memory
from runner.compare.speed import measure_speed
from runner.compare.speed_plan import speed_plan
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.errors import WorkerFailed


def measure(task: Task, variants: Sequence[Variant]) -> None:
    """What cannot be loaded or measured gets a problem in its row."""
    able = [variant for variant in variants if _measure_memory(task, variant)]
    if able:
        _measure_speed(task, able)


def _measure_memory(task: Task, variant: Variant) -> bool:
    """Whether it can be loaded."""
    progress.check(task.talk.cancelled)
    task.talk.progress("memory", variant.name)
    try:
        task.board.update(variant.name, memory=measure_memory(variant, task.talk.cancelled))
    except (Unusable, WorkerFailed) as error:
        task.board.problem(variant.name, error.message)
        return False
    return True


def _measure_speed(task: Task, variants: Sequence[Variant]) -> None:
    plan = speed_plan(task.order.request.effort).within(task.order.request.context)
    measured = measure_speed(
        variants, replace(plan, daemon=task.order.daemon), task.talk.say, task.talk.cancelled
    )
    try:
        for variant, speed, energy in measured:
            task.board.update(variant.name, speed=speed, energy=energy, load_s=speed.load_warm_s)
    except (Unusable, WorkerFailed) as error:
        task.notes.append(f"speed was not measured to the end: {error.message}")
