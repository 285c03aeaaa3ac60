"""Quality of all candidates beside one reference: texts, scores block by block, greedy answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modelstore import progress
from modelstore.errors import NybbleError, Unusable
from modelstore.header import Header
from runner.compare import plan
from runner.compare.block import Block
from runner.compare.clusters import Clusters, mean
from runner.compare.forks import GreedyAnswer, summarize_answers, tokens_in
from runner.compare.keys import FigureKey, ScoreKey, TextKey
from runner.compare.passages import Passages, Prompt, Source
from runner.compare.plan import Pass
from runner.compare.rendering import Chat
from runner.compare.scoreboard import Score, Scoreboard
from runner.compare.scoring import Loaded, Scorer
from runner.compare.stored_scores import decode, encode
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.errors import DoesNotFit, WorkerFailed
from runner.wire.compare import Answers, CompareSettled, Estimate

_NOISE_BLOCKS = 2
_CONTROL_PROMPTS = 2


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the reference alone has given. `control` are its answers to the first prompts, to all of them
    where candidates will answer without it."""

    loaded: Loaded
    passages: Passages
    noise_floor: Estimate
    prompts: tuple[Prompt, ...]
    control: tuple[GreedyAnswer, ...]
    strip_pieces: tuple[bytes, ...]


class QualityRun:
    """One reference, and candidates as they come: `run` may be called for several groups of them."""

    def __init__(self, task: Task, reference: Variant, header: Header, folder: Path) -> None:
        self._task = task
        self._reference = _for_scoring(reference)
        self._header = header
        self._record = folder / "reference.record"
        self._settled = False
        self.prepared: Prepared | None = None
        self.scores: Scoreboard | None = None

    def run(self, candidates: Sequence[Variant], headers: Mapping[str, Header], is_last: bool) -> None:
        """Problems of single candidates go to their rows. Raises what keeps the reference from running.
        `is_last`: no other group follows, so a settled ranking may end the scoring."""
        ready = [_for_scoring(each) for each in candidates]
        passes = self._passes(ready, headers)
        prepared = self._prepare(passes.need_record)
        by_name = {each.name: each for each in ready}
        for each in ready:
            self._recall(each, prepared)
        for together in passes.passes:
            may_stop = is_last and len(passes.passes) == 1
            self._run_pass(together, by_name, prepared, may_stop)
        block = prepared.passages.main[0]
        for each in ready:
            self._show(each.name, strip=self._scores.strip(each.name, block, prepared.strip_pieces))

    # The reference alone

    def _passes(self, candidates: Sequence[Variant], headers: Mapping[str, Header]) -> plan.Passes:
        engine, hardware = self._reference.engine, self._task.hardware
        free_bytes = hardware.free_bytes(engine.gpu_layers)
        reference_bytes = plan.scoring_bytes(self._header, engine)
        if reference_bytes > free_bytes:
            raise DoesNotFit(
                f"the reference {self._reference.name} needs {reference_bytes / 1e9:.1f} GB, and"
                f" {free_bytes / 1e9:.1f} GB are free",
                hint="--reference names a smaller one; `nybble stop` unloads models",
            )
        needed = {each.name: plan.scoring_bytes(headers[each.name], each.engine) for each in candidates}
        found = plan.passes(reference_bytes, needed, free_bytes)
        for name, size_bytes in found.too_large.items():
            self._task.board.problem(
                name, f"needs {size_bytes / 1e9:.1f} GB to be scored, and {free_bytes / 1e9:.1f} GB are free"
            )
        return found

    def _prepare(self, needs_record: bool) -> Prepared:
        if self.prepared is not None and (not needs_record or self._record.exists()):
            return self.prepared
        record = self._record if needs_record else None
        talk = self._task.talk
        talk.progress("loading", self._reference.name)
        with Scorer.running(self._reference, (), record, talk.cancelled) as scorer:
            prepared = self._ask_reference(scorer, needs_record)
            if self.scores is None:
                self.scores = Scoreboard(prepared.passages, prepared.noise_floor.value or 0.0)
            if needs_record:
                self._write_record(scorer, prepared.passages)
        self.prepared = prepared
        self._task.notes.extend(prepared.passages.notes)
        return prepared

    def _ask_reference(self, scorer: Scorer, answers_all: bool) -> Prepared:
        talk, request = self._task.talk, self._task.order.request
        loaded = scorer.loaded[0]
        source = self._source(loaded)
        passages = source.passages(
            scorer, lambda done, total: talk.progress("writing answers", self._reference.name, done, total)
        )
        talk.progress("noise floor", self._reference.name)
        noise = [scorer.noise_floor(block) for block in passages.main[:_NOISE_BLOCKS]]
        sizes = Clusters.of([len(each.kld) for each in noise])
        answering = plan.answering(request)
        prompts = source.prompts(scorer, passages.main, answering.prompts)
        asked = prompts if answers_all else prompts[:_CONTROL_PROMPTS]
        return Prepared(
            loaded=loaded,
            passages=passages,
            noise_floor=mean(np.concatenate([each.kld for each in noise]), sizes, least=0.0),
            prompts=tuple(prompts),
            control=tuple(scorer.answer(each.tokens, answering.max_tokens)[0] for each in asked),
            strip_pieces=tuple(scorer.pieces(_scored(passages.main[0]))),
        )

    def _source(self, loaded: Loaded) -> Source:
        template, task = self._header.chat_template, self._task
        chat = (
            Chat(template, loaded.bos_text, loaded.eos_text, tuple(loaded.control_tokens))
            if template
            else None
        )
        key = TextKey(
            reference=self._reference.digest,
            template=template,
            engine=loaded.engine,
            hardware=task.hardware.key,
            settings=self._reference.engine,
            plan="",
        )
        return Source(task.order.request, chat, task.evidence, key)

    def _write_record(self, scorer: Scorer, passages: Passages) -> None:
        for number, block in enumerate(passages.blocks):
            self._task.talk.progress("scoring", self._reference.name, number, len(passages.blocks))
            scorer.score(block)

    # Candidates

    def _recall(self, candidate: Variant, prepared: Prepared) -> None:
        """What was scored before."""
        scores = self._scores
        for index, payload in self._task.evidence.scores(self._score_key(candidate, prepared)).items():
            scores.add(candidate.name, index, Score(*decode(payload)))

    def _run_pass(
        self, each: Pass, variants: Mapping[str, Variant], prepared: Prepared, may_stop: bool
    ) -> None:
        group = [variants[name] for name in each.candidates]
        group = [one for one in group if not self._is_done(one, prepared, may_stop)]
        if not group:
            return
        reference = self._reference if each.has_reference else None
        record = None if each.has_reference else self._record
        talk = self._task.talk
        talk.progress("loading", ", ".join(one.name for one in group))
        try:
            with Scorer.running(reference, group, record, talk.cancelled) as scorer:
                self._score(scorer, group, prepared, may_stop)
                self._answer(scorer, group, prepared, each.has_reference)
        except (Unusable, WorkerFailed) as error:
            self._isolate(
                replace(each, candidates=tuple(one.name for one in group)), variants, prepared, error
            )

    def _isolate(
        self, failed: Pass, variants: Mapping[str, Variant], prepared: Prepared, error: NybbleError
    ) -> None:
        """One bad file must not spoil the others: each of a group is tried alone."""
        if len(failed.candidates) > 1:
            for each in plan.split(failed):
                self._run_pass(each, variants, prepared, may_stop=False)
            return
        (name,) = failed.candidates
        self._scores.drop(name)
        self._task.board.problem(name, error.message)

    def _is_done(self, variant: Variant, prepared: Prepared, may_stop: bool) -> bool:
        if self._task.evidence.figure(self._answers_key(variant, prepared)) is None:
            return False
        return self._scores.is_complete(variant.name) or (may_stop and self._settled)

    def _score(self, scorer: Scorer, group: Sequence[Variant], prepared: Prepared, may_stop: bool) -> None:
        blocks = [
            block
            for block in prepared.passages.blocks
            if not all(self._scores.has(each.name, block) for each in group)
        ]
        left = sum(len(block.tokens) for block in blocks)
        started, done = time.perf_counter(), 0
        for number, block in enumerate(blocks):
            progress.check(self._task.talk.cancelled)
            if may_stop and self._may_skip(block, prepared):
                continue
            self._keep(scorer, group, block, prepared)
            done += len(block.tokens)
            remaining_s = (time.perf_counter() - started) / done * (left - done)
            names = ", ".join(each.name for each in group)
            self._task.talk.progress("scoring", names, number + 1, len(blocks), remaining_s)
            self._watch_ranking()
            if self._task.board.is_due():
                for each in group:
                    self._show(each.name)

    def _may_skip(self, block: Block, prepared: Prepared) -> bool:
        """Whether more of the main text would change nothing. A number of chunks that was asked for stays."""
        before = prepared.passages.main[: block.index]
        is_enough = sum(each.scored_tokens for each in before) >= plan.LEAST_TOKENS
        is_main = block.index < len(prepared.passages.main)
        return self._settled and is_enough and is_main and self._task.order.request.chunks is None

    def _keep(self, scorer: Scorer, group: Sequence[Variant], block: Block, prepared: Prepared) -> None:
        scored = scorer.score(block)
        for each, candidate in zip(group, scored.candidates, strict=True):
            self._scores.add(each.name, block.index, Score(scored.reference, candidate))
            payload = encode(scored.reference, candidate)
            self._task.evidence.keep_scores(self._score_key(each, prepared), block.index, payload)

    def _watch_ranking(self) -> None:
        if not self._settled and self._scores.is_settled():
            self._settled = True
            self._task.talk.say(CompareSettled(seconds=self._task.seconds, ties=self._scores.ties()))

    def _show(self, name: str, **more: object) -> None:
        if (quality := self._scores.quality(name)) is not None:
            self._task.board.update(name, quality=quality[0], domains=quality[1], **more)

    # Answers

    def _answer(
        self, scorer: Scorer, group: Sequence[Variant], prepared: Prepared, has_reference: bool
    ) -> None:
        talk, most = self._task.talk, plan.answering(self._task.order.request).max_tokens
        rows: list[list[GreedyAnswer]] = []
        for number, prompt in enumerate(prepared.prompts):
            talk.progress("answering", prompt.asked.domain, number, len(prepared.prompts))
            rows.append(scorer.answer(prompt.tokens, most))
        columns = [list(column) for column in zip(*rows, strict=True)]
        reference = columns.pop(0) if has_reference else list(prepared.control)
        spelled = tokens_in(answer for column in [reference, *columns, prepared.control] for answer in column)
        pieces = dict(zip(spelled, scorer.pieces(spelled), strict=True))
        asked = [prompt.asked for prompt in prepared.prompts]
        for each, answers in zip(group, columns, strict=True):
            result = summarize_answers(asked, reference, answers, pieces)
            self._task.evidence.keep_figure(
                self._answers_key(each, prepared), result.model_dump_json().encode()
            )
            self._task.board.update(each.name, answers=result)
        control = prepared.control[: len(asked)]
        itself = summarize_answers(asked[: len(control)], reference[: len(control)], control, pieces)
        self._task.board.update(self._reference.name, answers=itself)

    def recall_answers(self, variant: Variant) -> None:
        """Those kept from before, where this run did not ask again."""
        if self.prepared is not None:
            kept = self._task.evidence.figure(self._answers_key(_for_scoring(variant), self.prepared))
            if kept is not None:
                self._task.board.update(variant.name, answers=Answers.model_validate_json(kept))

    def _score_key(self, candidate: Variant, prepared: Prepared) -> ScoreKey:
        return ScoreKey(
            reference=self._reference.digest,
            candidate=candidate.digest,
            template=prepared.passages.template,
            stream=prepared.passages.stream,
            engine=prepared.loaded.engine,
            hardware=self._task.hardware.key,
            reference_settings=self._reference.engine,
            candidate_settings=candidate.engine,
        )

    def _answers_key(self, candidate: Variant, prepared: Prepared) -> FigureKey:
        return FigureKey(
            kind="answers",
            candidate=candidate.digest,
            engine=prepared.loaded.engine,
            hardware=self._task.hardware.key,
            settings=candidate.engine,
            plan=repr((plan.answering(self._task.order.request), [each.tokens for each in prepared.prompts])),
            reference=self._reference.digest,
        )

    @property
    def _scores(self) -> Scoreboard:
        if self.scores is None:
            raise WorkerFailed("candidates were to be scored before the reference")
        return self.scores


def _for_scoring(variant: Variant) -> Variant:
    return replace(variant, engine=replace(variant.engine, context_length=plan.SCORING_CONTEXT))


def _scored(block: Block) -> Sequence[int]:
    return block.tokens[block.first_scored :]
