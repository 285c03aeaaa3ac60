"""The reference: what it is asked alone, before any candidate is scored beside it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from modelstore.header import Header
from runner.compare import plan
from runner.compare.evidence import Key
from runner.compare.forks import GreedyAnswer
from runner.compare.memory import ensure_fits
from runner.compare.passages import Passages, Source
from runner.compare.quality import kld_mean
from runner.compare.questions import TOGETHER, answer, in_groups
from runner.compare.rendering import Chat
from runner.compare.scoring import Scorer
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.wire.compare import Estimate

_NOISE_BLOCKS = 2
_CONTROL_PROMPTS = TOGETHER


class Reference:
    """Asked when it is made, which raises what keeps it from running. `key` is that of all it says; `control`
    are its answers to the first prompts, or to all of them once a record was written."""

    passages: Passages

    def __init__(self, task: Task, variant: Variant, header: Header, record: Path, has_foreign: bool) -> None:
        self._task = task
        self.variant = plan.for_scoring(variant)
        self.record = record
        self.needed_bytes = plan.scoring_bytes(header, self.variant.engine)
        free_bytes = task.hardware.free_bytes(self.variant.engine.gpu_layers)
        hint = "--reference names a smaller one; `nybble stop` unloads models"
        ensure_fits(f"the reference {variant.name}", self.needed_bytes, free_bytes, hint)
        with self._running(None) as scorer:
            self.key = Key(
                kind="texts",
                what="",
                reference=self.variant.digest,
                reference_settings=self.variant.engine,
                template=header.chat_template,
                engine=scorer.loaded[0].engine,
                hardware=task.hardware.key,
            )
            chat = Chat.of(scorer.loaded[0], header)
            self.source = Source(task.order.request, chat, task.evidence, self.key, self.report, has_foreign)
            task.talk.progress("writing answers", variant.name)
            self.passages = self.source.passages(scorer)
            for batch in self.passages.batches:
                task.outlook.took("sampling", batch.tokens, batch.seconds)
            first = self.passages.main[0]
            self.strip_pieces = scorer.pieces(first.tokens[first.first_scored :])
            self.noise_floor = self._noise_floor(scorer)
            self.prompts = self.source.prompts(scorer, self.passages.main)
            self.control = self._answers(scorer, _CONTROL_PROMPTS)
        task.note(*self.passages.notes)

    def grow(self, scorer: Scorer) -> None:
        """Write more of what is scored; the first of the scorer's models is this one."""
        self.passages.grow(scorer, self.report)
        written = self.passages.batches[-1]
        self._task.outlook.took("sampling", written.tokens, written.seconds)

    def write_record(self) -> None:
        """All that a candidate is held against which is loaded without the reference. Raises WorkerFailed."""
        with self._running(self.record) as scorer:
            while self.passages.missing_tokens:
                self.grow(scorer)
            blocks = self.passages.blocks
            for number, _ in enumerate(scorer.score_all(blocks), start=1):
                self._task.talk.progress("scoring", self.variant.name, number, len(blocks))
            self.control = self._answers(scorer, len(self.prompts))

    def report(self, written: int, wanted: int) -> None:
        """Say how many tokens are written of what is scored."""
        self._task.talk.progress("writing answers", self.variant.name, written, wanted)

    def _running(self, record: Path | None) -> contextlib.AbstractContextManager[Scorer]:
        self._task.talk.progress("loading", self.variant.name)
        return Scorer.running(self.variant, (), record, self._task.talk.cancelled)

    def _noise_floor(self, scorer: Scorer) -> Estimate:
        blocks = self.passages.main[:_NOISE_BLOCKS]
        self._task.talk.progress("noise floor", self.variant.name)
        started = time.perf_counter()
        noise = [scorer.noise_floor(block) for block in blocks]
        # Each is read twice.
        read = 2 * sum(len(block.tokens) for block in blocks)
        self._task.outlook.took("reading", read, time.perf_counter() - started)
        return kld_mean(noise)

    def _answers(self, scorer: Scorer, count: int) -> list[GreedyAnswer]:
        started = time.perf_counter()
        asked = self.prompts[:count]
        answers = [ours for group in in_groups(asked) for (ours,) in answer(scorer, group)]
        written = sum(len(each.tokens) for each in answers)
        self._task.outlook.took("answering", written, time.perf_counter() - started)
        return answers
