"""Greedy answers of candidates beside the reference's: asked, kept one by one, and summed up."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from modelstore import progress
from runner.compare.evidence import Key
from runner.compare.exercises import marked
from runner.compare.forks import Asked, GreedyAnswer, summarize_answers, tokens_in
from runner.compare.outlook import Work
from runner.compare.questions import TOGETHER, answer, in_groups
from runner.compare.reference import Reference
from runner.compare.scoring import Scorer
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.wire.compare import Answers

_ANSWER = TypeAdapter(GreedyAnswer)
_SUMMARY, _ALONE = -1, -2
"""Their numbers among the answers of one model, which are numbered as their prompts: what they say beside the
reference's, and the reference's by themselves."""


@dataclass(frozen=True, slots=True)
class Greedy:
    task: Task
    reference: Reference

    def recalled(self, variant: Variant, number: int = _SUMMARY) -> Answers | None:
        """What was kept of all prompts together."""
        kept = self.task.evidence.pieces(self._key(variant)).get(number)
        return None if kept is None else Answers.model_validate_json(kept)

    def show(self, variant: Variant) -> None:
        """What was kept of the reference or a candidate."""
        is_reference = variant is self.reference.variant
        answers = self.recalled(variant)
        marks = self.recalled(variant, _ALONE) if is_reference else answers
        if answers and marks:
            self.task.board.update(variant.name, answers=answers, tasks=marked(marks.forks))

    def work(self, models: int, prompts: int | None = None) -> Work:
        """Of so many prompts, or all, as long as the reference's answers were."""
        control = self.reference.control
        mean_tokens = sum(len(each.tokens) for each in control) / max(1, len(control))
        count = len(self.reference.prompts) if prompts is None else prompts
        return Work({"answering": round(models * count * mean_tokens)})

    def ask(self, scorer: Scorer, group: Sequence[Variant], has_reference: bool) -> None:
        """`group` are the scorer's candidates."""
        models = [*([self.reference.variant] if has_reference else []), *group]
        prompts = self.reference.prompts
        rows: list[Sequence[GreedyAnswer]] = []
        for group_of_prompts in in_groups(prompts):
            progress.check(self.task.talk.cancelled)
            remaining_s = self.task.outlook.remaining_s(self.work(len(models), len(prompts) - len(rows)))
            domains = ", ".join(dict.fromkeys(prompt.domain for prompt in group_of_prompts))
            self.task.talk.progress("answering", domains, len(rows), len(prompts), remaining_s)
            rows += self._rows(scorer, models, len(rows), group_of_prompts)
        columns = [list(column) for column in zip(*rows, strict=True)]
        control = self.reference.control
        reference = columns.pop(0) if has_reference else control
        spelled = tokens_in(answer for column in (reference, *columns, control) for answer in column)
        pieces = dict(zip(spelled, scorer.pieces(spelled), strict=True))
        for each, answers in zip(group, columns, strict=True):
            self._keep(each, _SUMMARY, summarize_answers(prompts, reference, answers, pieces))
        itself = summarize_answers(prompts[: len(control)], reference[: len(control)], control, pieces)
        alone = summarize_answers(prompts, reference, reference, pieces)
        itself = itself.model_copy(update={"capped": alone.capped, "looped": alone.looped})
        self._keep(self.reference.variant, _SUMMARY, itself)
        self._keep(self.reference.variant, _ALONE, alone)

    def _keep(self, variant: Variant, number: int, answers: Answers) -> None:
        self.task.evidence.keep_piece(self._key(variant), number, answers.model_dump_json().encode())

    def _rows(
        self, scorer: Scorer, models: Sequence[Variant], first: int, prompts: Sequence[Asked]
    ) -> list[Sequence[GreedyAnswer]]:
        """To each prompt, of every model; they are numbered from `first`."""
        evidence, keys = self.task.evidence, [self._key(each) for each in models]
        kept = [evidence.pieces(key) for key in keys]
        numbers = range(first, first + len(prompts))
        if all(number in pieces for number in numbers for pieces in kept):
            return [[_ANSWER.validate_json(pieces[number]) for pieces in kept] for number in numbers]
        started = time.perf_counter()
        rows: list[Sequence[GreedyAnswer]] = [*answer(scorer, prompts)]
        written = sum(len(each.tokens) for row in rows for each in row)
        self.task.outlook.took("answering", written, time.perf_counter() - started)
        for number, row in zip(numbers, rows, strict=True):
            for key, each in zip(keys, row, strict=True):
                evidence.keep_piece(key, number, _ANSWER.dump_json(each))
        return rows

    def _key(self, candidate: Variant) -> Key:
        prompts = [(each.tokens, each.max_tokens) for each in self.reference.prompts]
        what = hashlib.sha256(repr((TOGETHER, prompts)).encode()).hexdigest()
        return self.reference.key.beside("answers", what, candidate)
