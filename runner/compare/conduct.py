"""One comparison from the order to the result."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from modelstore import progress
from modelstore.errors import NotFound, Unusable, UserError
from modelstore.header import Header
from modelstore.store import Store
from runner.compare import resources
from runner.compare.answering import with_speed_ups
from runner.compare.board import Board
from runner.compare.corpus import texts
from runner.compare.evidence import Evidence
from runner.compare.foreign import measure_foreign
from runner.compare.hardware import look
from runner.compare.memory import header_of
from runner.compare.order import Order, Talk
from runner.compare.outlook import Work
from runner.compare.plausible import implausible
from runner.compare.quality_run import QualityRun
from runner.compare.recommend import recommend
from runner.compare.reference import Reference
from runner.compare.shelf import Shelf
from runner.compare.speculation import measure_speculation
from runner.compare.task import Task
from runner.compare.variant import Engine, Variant
from runner.compare.variants import (
    Entry,
    Offered,
    Selection,
    hub_selection,
    is_hub,
    local_selection,
    varied_selection,
)
from runner.compare.vary import SPECULATION, baseline, ways
from runner.compare.wish import Wish, usual_floors
from runner.compare.workshop import Workshop, own_folder
from runner.errors import WorkerFailed
from runner.text import clean_name
from runner.wire.compare import ComparePlanned, Comparison, ComparisonDone

# KV types whose own error is no part of any comparison.
_EXACT = {"f16", "bf16", "f32"}


def conduct(order: Order, talk: Talk) -> None:
    """Says every event, "done" last. Raises NybbleError where there is nothing to compare, and Cancelled."""
    talk.progress("looking")
    _refuse_unknown(order.request.domains)
    store, hardware = Store(order.store), look(order.settings.memory_budget_bytes)
    evidence = Evidence(order.evidence)
    engine = baseline(
        order.settings.engine(order.request.context, hardware.has_gpu), ways(order.request.vary)
    )
    selection = _select(order, store, engine, talk)
    name = hashlib.sha256(order.request.model_dump_json().encode()).hexdigest()[:16]
    with own_folder(order.cache, name) as folder:
        task = Task(order, talk, Board(talk.say, selection.reference.name), evidence, hardware)
        _plan(task, selection, engine)
        workshop = Workshop(store, order, folder, engine, talk)
        comparison = _Comparing(task, selection, workshop, folder).run()
    evidence.close()
    # After it nobody waits any more: all that was made is removed by now.
    talk.say(ComparisonDone(comparison=comparison))


def _refuse_unknown(domains: Sequence[str]) -> None:
    known = dict.fromkeys(text.domain for text in texts())
    if unknown := [clean_name(each) for each in domains if each not in known]:
        raise UserError(
            f"no kind of text is called {', '.join(unknown)}", hint=f"Known are {', '.join(known)}."
        )


def _select(order: Order, store: Store, engine: Engine, talk: Talk) -> Selection:
    request, shelf = order.request, Shelf(store)
    if request.vary:
        return varied_selection(shelf, request, engine)
    repository = is_hub(request.name)
    if repository is None or order.settings.offline:
        return local_selection(shelf, request)
    from modelstore.download import Policy
    from modelstore.sources.huggingface import HubOptions, HubSource

    settings = order.settings
    options = HubOptions(settings.hf_endpoint, settings.hf_token, settings.offline, Policy())
    talk.progress("listing", str(repository))
    return hub_selection(request, HubSource(repository, options).files(talk.cancelled), shelf)


def _plan(task: Task, selection: Selection, engine: Engine) -> None:
    for entry in (selection.reference, *selection.candidates):
        task.board.plan(entry)
    for name, error in selection.failed:
        task.board.refuse(name, error)
    task.notes.extend(selection.notes)
    if {engine.kv_type_k, engine.kv_type_v} - _EXACT:
        task.notes.append(
            f"all run with a KV cache of {engine.kv_type_k} and {engine.kv_type_v}: what that loses is in no "
            "figure (--vary kv_type measures it)"
        )
    task.talk.say(
        ComparePlanned(variants=task.board.rows, reference=selection.reference.name, notes=task.notes)
    )


class _Comparing:
    """The parts in order: files, quality, speed, decision."""

    def __init__(self, task: Task, selection: Selection, workshop: Workshop, folder: Path) -> None:
        self._task = task
        self._selection = selection
        self._workshop = workshop
        self._folder = folder
        self._reference: Reference | None = None
        self._quality: QualityRun | None = None
        ours = selection.reference.vocabulary
        self._foreign = {
            entry.name for entry in selection.candidates if ours and entry.vocabulary not in (None, ours)
        }

    def run(self) -> Comparison:
        groups = _groups(self._selection.candidates)
        with ExitStack() as stack:
            reference = stack.enter_context(self._workshop.ready(self._selection.reference))
            header = header_of(reference)
            self._task.board.describe(reference, header, {})
            if self._task.order.request.measure != "speed":
                self._reference = Reference(self._task, reference, header, self._folder / "reference.record")
                self._quality = QualityRun(self._task, self._reference)
            for number, group in enumerate(groups):
                with self._ready(group) as ready:
                    self._measure(reference if number == 0 else None, ready, number == len(groups) - 1)
            self._measure_speculation()
            return self._finish(reference)

    @contextmanager
    def _ready(self, entries: Sequence[Entry]) -> Iterator[dict[Variant, Header]]:
        """What can be had of them, with what their files say; the others get a problem in their rows."""
        ready: dict[Variant, Header] = {}
        with ExitStack() as stack:
            for entry in entries:
                progress.check(self._task.talk.cancelled)
                try:
                    variant = stack.enter_context(self._workshop.ready(entry))
                    ready[variant] = header_of(variant)
                except (Unusable, NotFound, UserError, WorkerFailed) as error:
                    self._task.board.refuse(entry.name, error)
                    continue
                self._task.board.describe(variant, ready[variant], entry.settings)
            yield ready

    def _measure(self, reference: Variant | None, ready: dict[Variant, Header], is_last: bool) -> None:
        measured = [*([reference] if reference else []), *ready]
        self._task.outlook.later = self._later(measured) if is_last else None
        if self._quality and self._reference and ready:
            foreign = [each for each in ready if each.name in self._foreign]
            self._quality.run({each: ready[each] for each in ready if each not in foreign}, is_last)
            if foreign:
                has_others = self._quality.scores.reference_quality() is not None
                measure_foreign(self._task, self._reference, foreign, has_others)
        if self._task.order.request.measure != "quality":
            resources.measure(self._task, measured)

    def _later(self, measured: Sequence[Variant]) -> Work | None:
        """Behind the scoring of the last group; what the daemon takes to speculate nobody knows."""
        if any(is_speculation(entry) for entry in self._selection.candidates):
            return None
        return (
            Work() if self._task.order.request.measure == "quality" else resources.work(self._task, measured)
        )

    def _measure_speculation(self) -> None:
        """Of the model as the daemon serves it."""
        entries = [entry for entry in self._selection.candidates if is_speculation(entry)]
        if not entries or self._task.order.request.measure == "quality":
            return
        modes = [entry.settings[SPECULATION] == "on" for entry in entries]
        order = self._task.order
        served = measure_speculation(order.daemon, order.request.name, modes, self._task.talk)
        for entry, speed in zip(entries, served.speeds, strict=True):
            self._task.board.update(entry.name, speed=speed, settings=entry.settings)
        if len(entries) > 1:
            self._task.notes.append(
                f"with speculation {served.differing} of {served.prompts} answers were not the same"
            )

    def _finish(self, reference: Variant) -> Comparison:
        task, request = self._task, self._task.order.request
        board, quality = task.board, self._quality
        scores = quality.scores if quality else None
        own = scores.reference_quality() if scores else None
        if own is not None:
            board.update(reference.name, quality=own[0], domains=own[1])
        ties = scores.ties() if scores else []
        for name, problem in implausible(board.rows, ties).items():
            board.problem(name, problem)
        for name, speed in with_speed_ups(board.rows):
            board.update(name, speed=speed)
        limit_bytes = task.hardware.free_bytes(reference.engine.gpu_layers)
        noise_floor = self._reference.noise_floor if self._reference else None
        domains = tuple(request.domains)
        floors = usual_floors(request.intent, domains)
        wish = Wish(request.intent, request.context, limit_bytes, floors, domains)
        task.talk.progress("deciding")
        recommendation, pareto = recommend(
            board.rows, ties, wish, (noise_floor.value or 0.0) if noise_floor else 0.0
        )
        comparison = Comparison(
            created_at=datetime.now(UTC),
            model=request.name,
            reference=reference.name,
            context=request.context,
            effort=request.effort,
            intent=request.intent,
            engine=task.hardware.engine,
            hardware=task.hardware.machine,
            memory_limit_bytes=limit_bytes,
            text=self._reference.passages.facts() if self._reference else {},
            noise_floor=noise_floor,
            variants=board.rows,
            pareto=pareto,
            ties=ties,
            recommendation=recommendation,
            notes=task.notes,
            seconds=task.seconds,
        )
        number = task.evidence.keep(comparison)
        return comparison.model_copy(update={"id": number})


def is_speculation(entry: Entry) -> bool:
    """What llama.cpp is not told, and only the daemon can do."""
    return SPECULATION in entry.settings


def _groups(candidates: Sequence[Entry]) -> list[list[Entry]]:
    """What is measured together: all that is here or made here; files of a hub one at a time."""
    candidates = [entry for entry in candidates if not is_speculation(entry)]
    here = [entry for entry in candidates if not isinstance(entry.origin, Offered)]
    fetched = [[entry] for entry in candidates if isinstance(entry.origin, Offered)]
    return [*([here] if here else []), *fetched]
