"""Memory, speed and energy of variants, row by row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from modelstore.header import Header
from runner.compare.answering import with_answer
from runner.compare.attention import as_served
from runner.compare.corpus import read, texts
from runner.compare.outlook import Work
from runner.compare.speed import Listener, measure_speed
from runner.compare.speed_plan import SPEED_PLANS, SpeedPlan
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.wire.compare import CompareProgress

# Characters of each bundled text: more would take longer to tokenize than to measure.
_TEXT_LENGTH = 4000
_PLAIN = "speed and memory are those without flash attention: as served, since it is slower here"


def measure(task: Task, headers: Mapping[Variant, Header]) -> None:
    """What cannot be loaded or measured gets a problem in its row."""
    snapshot = task.hardware.snapshot
    processors = [device.description for device in snapshot.devices if device.kind == "cpu"]
    variants = as_served(headers, task.order.measurements, processors)
    if variants != list(headers):
        task.note(_PLAIN)
    plan = replace(_plan(task), text=_text())

    def report(now: CompareProgress) -> None:
        is_last = task.outlook.later is not None
        task.talk.say(now if is_last else now.model_copy(update={"remaining_s": None}))

    listener = Listener(report, lambda variant, error: task.board.refuse(variant.name, error))
    for variant, found in measure_speed(variants, plan, listener, task.talk.cancelled):
        answer_tokens = plan.answer_tokens * _token_ratio(task, variant)
        speed, energy = with_answer(found.speed, found.energy, answer_tokens)
        task.board.update(
            variant.name, memory=found.memory, speed=speed, energy=energy, load_s=speed.load_warm_s
        )


def work(task: Task, variants: Collection[Variant]) -> Work:
    """That `measure` takes, about."""
    each = _plan(task).work
    return Work({activity: len(variants) * tokens for activity, tokens in each.items()})


def _plan(task: Task) -> SpeedPlan:
    plan = SPEED_PLANS[task.order.request.effort].within(task.order.request.context)
    return replace(plan, daemon=task.order.daemon)


def _text() -> str:
    """Of every kind: random tokens would send a mixture of experts to other experts than text does."""
    return "\n".join(read(text)[:_TEXT_LENGTH] for text in texts() if text.use == "corpus")


def _token_ratio(task: Task, variant: Variant) -> float:
    """How many tokens the variant needs for an answer that takes the reference one: 1 unless surely more or
    fewer, since a few prompts may say anything."""
    for row in task.board.rows:
        if row.name == variant.name and row.answers:
            ratio = row.answers.token_ratio
            if ratio.value and ratio.low and ratio.high and not ratio.low <= 1 <= ratio.high:
                return ratio.value
    return 1.0
