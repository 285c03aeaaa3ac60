"""One comparison from the order to the result."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from modelstore import progress
from modelstore.errors import NybbleError, UserError
from modelstore.header import Header
from modelstore.store import Store
from runner.compare import fetched, resources
from runner.compare.answering import with_speed_ups
from runner.compare.corpus import texts
from runner.compare.entry import Entry
from runner.compare.evidence import Evidence
from runner.compare.foreign import measure_foreign
from runner.compare.hardware import look
from runner.compare.order import Order, Talk
from runner.compare.outlook import Work
from runner.compare.plausible import implausible
from runner.compare.quality_run import QualityRun
from runner.compare.recommend import recommend
from runner.compare.reference import Reference
from runner.compare.scoreboard import Scoreboard
from runner.compare.selection import Selection, select
from runner.compare.speculation import measure_speculation
from runner.compare.task import Board, Task
from runner.compare.variant import Engine, Variant, header_of
from runner.compare.vary import SPECULATION, baseline, ways
from runner.compare.wish import Wish, usual_floors
from runner.compare.workshop import Workshop, own_folder
from runner.text import clean_name
from runner.wire.compare import Comparison, ComparisonDone

# KV types whose own error is no part of any comparison.
_EXACT = {"f16", "bf16", "f32"}


def conduct(order: Order, talk: Talk) -> None:
    """Says every event, "done" last. Raises NybbleError where there is nothing to compare, and Cancelled."""
    talk.progress("looking")
    _refuse_unknown(order.request.domains)
    store, hardware = Store(order.store), look(order.settings.memory_budget_bytes)
    engine = baseline(
        order.settings.engine(order.request.context, hardware.has_gpu), ways(order.request.vary)
    )
    selection = select(order, store, engine, talk)
    name = hashlib.sha256(order.request.model_dump_json().encode()).hexdigest()[:16]
    with closing(Evidence(order.evidence)) as evidence, own_folder(order.workshops, name) as folder:
        fetched.sweep(store, order.workshops, order.daemon)
        task = Task(order, talk, Board(talk.say, selection.reference.name), evidence, hardware)
        _plan(task, selection, engine)
        workshop = Workshop(store, order, folder, engine, talk)
        comparison = _Comparing(task, selection, workshop).run()
    # After it nobody waits any more: all that was made is removed by now.
    talk.say(ComparisonDone(comparison=comparison))


def _refuse_unknown(domains: Sequence[str]) -> None:
    known = dict.fromkeys(text.domain for text in texts())
    if unknown := [clean_name(each) for each in domains if each not in known]:
        raise UserError(
            f"no kind of text is called {', '.join(unknown)}", hint=f"Known are {', '.join(known)}."
        )


def _plan(task: Task, selection: Selection, engine: Engine) -> None:
    for entry in (selection.reference, *selection.candidates):
        task.board.plan(entry)
    for name, error in selection.failed:
        task.board.refuse(name, error)
    task.note(*selection.notes)
    if {engine.kv_type_k, engine.kv_type_v} - _EXACT:
        task.note(
            f"all run with a KV cache of {engine.kv_type_k} and {engine.kv_type_v}: what that loses is in no "
            "figure (--vary kv_type measures it)"
        )
    task.say_plan()


@dataclass(slots=True)
class _Comparing:
    """The parts in order: files, quality, speed, decision."""

    task: Task
    selection: Selection
    workshop: Workshop
    reference: Reference | None = None
    quality: QualityRun | None = None

    @property
    def measures(self) -> str:
        return self.task.order.request.measure

    def run(self) -> Comparison:
        groups = self.selection.groups
        with ExitStack() as stack:
            variant = stack.enter_context(self.workshop.ready(self.selection.reference))
            header = header_of(variant.path)
            self.task.board.describe(variant, header)
            if groups and self.measures != "speed":
                record, has_foreign = self.workshop.folder / "reference.record", bool(self.selection.foreign)
                self.reference = Reference(self.task, variant, header, record, has_foreign)
                self.quality = QualityRun(self.task, self.reference)
            for number, group in enumerate(groups):
                with self._ready(group) as ready:
                    self._measure({variant: header} if number == 0 else {}, ready, number == len(groups) - 1)
            if self.selection.served and self.measures != "quality":
                self._measure_speculation(self.selection.served)
            scores = self.quality.scores if self.quality else None
            return _outcome(self.task, variant, self.reference, scores)

    @contextmanager
    def _ready(self, entries: Sequence[Entry]) -> Iterator[dict[Variant, Header]]:
        """What can be had of them, with what their files say; the others get a problem in their rows."""
        ready: dict[Variant, Header] = {}
        with ExitStack() as stack:
            for entry in entries:
                progress.check(self.task.talk.cancelled)
                try:
                    variant = stack.enter_context(self.workshop.ready(entry))
                    ready[variant] = header_of(variant.path)
                except NybbleError as error:
                    self.task.board.refuse(entry.name, error)
                    continue
                self.task.board.describe(variant, ready[variant])
            yield ready

    def _measure(self, first: dict[Variant, Header], ready: dict[Variant, Header], is_last: bool) -> None:
        measured = first | ready
        self.task.outlook.later = self._later(measured) if is_last else None
        if self.quality and self.reference and ready:
            foreign = [each for each in ready if each.name in self.selection.foreign]
            self.quality.run({each: ready[each] for each in ready if each not in foreign}, is_last)
            if foreign:
                has_others = self.quality.scores.reference_quality() is not None
                measure_foreign(self.task, self.reference, foreign, has_others)
        if self.measures != "quality":
            resources.measure(self.task, measured)

    def _later(self, measured: Collection[Variant]) -> Work | None:
        """Behind the scoring of the last group; what the daemon takes to speculate nobody knows."""
        if self.selection.served:
            return None
        return Work() if self.measures == "quality" else resources.work(self.task, measured)

    def _measure_speculation(self, entries: Sequence[Entry]) -> None:
        """Of the model as the daemon serves it."""
        modes = [entry.settings[SPECULATION] == "on" for entry in entries]
        order = self.task.order
        speeds, remark = measure_speculation(order.daemon, order.request.name, modes, self.task.talk)
        for entry, speed in zip(entries, speeds, strict=True):
            self.task.board.update(entry.name, speed=speed)
        if len(entries) > 1:
            self.task.note(remark)


def _outcome(task: Task, variant: Variant, asked: Reference | None, scores: Scoreboard | None) -> Comparison:
    """What all that was measured adds up to, decided and kept. `variant` is the reference; `asked` and
    `scores` are None where quality was not measured."""
    board, request = task.board, task.order.request
    ties = scores.ties() if scores else []
    own = scores.reference_quality() if scores else None
    if own is not None:
        board.update(variant.name, quality=own[0], domains=own[1])
    for name, problem in implausible(board.rows, ties).items():
        board.problem(name, problem)
    for name, speed in with_speed_ups(board.rows):
        board.update(name, speed=speed)
    limit_bytes = task.hardware.free_bytes(variant.engine.gpu_layers)
    domains = tuple(request.domains)
    floors = usual_floors(request.intent, domains)
    wish = Wish(request.intent, request.context, limit_bytes, floors, domains)
    noise_floor = asked.noise_floor if asked else None
    task.talk.progress("deciding")
    noise_nats = (noise_floor.value or 0.0) if noise_floor else 0.0
    recommendation, pareto = recommend(board.rows, ties, wish, noise_nats)
    comparison = Comparison(
        created_at=datetime.now(UTC),
        model=request.name,
        reference=variant.name,
        context=request.context,
        effort=request.effort,
        intent=request.intent,
        engine=task.hardware.engine,
        hardware=task.hardware.machine,
        memory_limit_bytes=limit_bytes,
        text=asked.passages.facts() if asked else {},
        noise_floor=noise_floor,
        variants=board.rows,
        pareto=pareto,
        ties=ties,
        recommendation=recommendation,
        notes=task.notes,
        seconds=task.seconds,
    )
    return comparison.model_copy(update={"id": task.evidence.keep(comparison)})
