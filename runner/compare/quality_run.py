"""Quality of all candidates beside one reference: passes of what fits into memory, block by block."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from modelstore.errors import NybbleError, Unusable
from modelstore.header import Header
from runner.compare import plan
from runner.compare.blocks import Block
from runner.compare.evidence import Key
from runner.compare.greedy import Greedy
from runner.compare.outlook import Work
from runner.compare.plan import Pass
from runner.compare.reference import Reference
from runner.compare.scoreboard import Score, Scoreboard
from runner.compare.scoring import Scored, Scorer
from runner.compare.stored_scores import FORMAT, decode, encode
from runner.compare.task import Task
from runner.compare.variant import Variant
from runner.errors import WorkerFailed
from runner.wire.compare import CompareSettled


class QualityRun:
    """One reference, and candidates as they come: `run` may be called for several groups of them."""

    def __init__(self, task: Task, reference: Reference) -> None:
        self._task = task
        self._reference = reference
        self._passages = reference.passages
        self._greedy = Greedy(task, reference)
        self._is_last = False
        self._is_settled = False
        self._may_stop = False
        """Whether a settled ranking ends the scoring."""
        self.scores = Scoreboard(reference.passages, reference.noise_floor.value or 0.0)

    def run(self, candidates: Mapping[Variant, Header], is_last: bool) -> None:
        """Problems of single candidates go to their rows. Raises what keeps the reference from running.
        `is_last`: no other group follows, so a settled ranking may end the scoring."""
        self._is_last = is_last
        self._note_templates(candidates)
        ready = {plan.for_scoring(each): header for each, header in candidates.items()}
        passes = self._passes(ready)
        self._recall([variant for each in passes for variant in each.candidates])
        apart = [variant.name for each in passes if not each.has_reference for variant in each.candidates]
        if apart:
            self._task.note(
                f"memory does not hold {', '.join(apart)} beside the reference: scored against a compact"
                " record of it, which gives KL divergence within 2 %"
            )
            self._reference.write_record()
        # Else another pass must score the same text.
        self._may_stop = is_last and len(passes) == 1
        for each in passes:
            self._run_pass(each)
        first = self._passages.main[0]
        for variant in ready:
            strip = self.scores.strip(variant.name, first, self._reference.strip_pieces)
            self._show(variant.name, strip=strip)
            self._greedy.show(variant)
        self._greedy.show(self._reference.variant)

    def _note_templates(self, candidates: Mapping[Variant, Header]) -> None:
        own = self._reference.key.template
        if others := [each.name for each, header in candidates.items() if header.chat_template != own]:
            self._task.note(
                f"another chat template than the reference's: {', '.join(others)}. All were asked in the"
                " reference's; in chats with them prompts differ, and so may answers"
            )

    def _passes(self, candidates: Mapping[Variant, Header]) -> Sequence[Pass]:
        free_bytes = self._task.hardware.free_bytes(self._reference.variant.engine.gpu_layers)
        needed = {each: plan.scoring_bytes(header, each.engine) for each, header in candidates.items()}
        found, too_large = plan.passes(self._reference.needed_bytes, needed, free_bytes)
        for each in too_large:
            needs = f"needs {needed[each] / 1e9:.1f} GB to be scored, and {free_bytes / 1e9:.1f} GB are free"
            self._task.board.problem(each.name, needs)
        return found

    def _recall(self, candidates: Sequence[Variant]) -> None:
        """What was scored before."""
        blocks: set[int] = set()
        for each in candidates:
            kept = self._task.evidence.pieces(self._key(each))
            self.scores.enter(each.name, {index: Score(*decode(payload)) for index, payload in kept.items()})
            blocks |= kept.keys()
        self._watch_ranking()
        if blocks:
            self._task.say_plan(resumed_blocks=len(blocks))

    def _run_pass(self, each: Pass) -> None:
        group = [variant for variant in each.candidates if not self._is_done(variant)]
        if not group:
            return
        reference = self._reference.variant if each.has_reference else None
        record = None if each.has_reference else self._reference.record
        talk = self._task.talk
        talk.progress("loading", ", ".join(one.name for one in group))
        try:
            with Scorer.running(reference, group, record, talk.cancelled) as scorer:
                self._score(scorer, group)
                self._greedy.ask(scorer, group, each.has_reference)
        except (Unusable, WorkerFailed) as error:
            self._isolate(group, each.has_reference, error)

    def _isolate(self, failed: Sequence[Variant], has_reference: bool, error: NybbleError) -> None:
        """One bad file must not spoil the others: each of a group is tried alone."""
        if len(failed) > 1:
            self._may_stop = False
            for each in failed:
                self._run_pass(Pass((each,), has_reference))
            return
        (broken,) = failed
        self.scores.drop(broken.name)
        self._task.board.refuse(broken.name, error)

    def _is_done(self, variant: Variant) -> bool:
        is_complete = self.scores.is_complete(variant.name) and not self._passages.missing_tokens
        is_scored = is_complete or (self._may_stop and self._is_settled)
        return is_scored and self._greedy.recalled(variant) is not None

    # Scoring

    def _score(self, scorer: Scorer, group: Sequence[Variant]) -> None:
        names, done = ", ".join(each.name for each in group), 0
        for blocks in self._stretches(scorer, group):
            started = time.perf_counter()
            for block, scored in zip(blocks, scorer.score_all(blocks), strict=True):
                seconds, started = time.perf_counter() - started, time.perf_counter()
                done += 1
                self._keep(group, block, scored)
                self._task.outlook.took("reading", len(scorer.loaded) * len(block.tokens), seconds)
                self._say(names, group, len(scorer.loaded), done)
                self._watch_ranking()
                if self._task.board.is_due():
                    for each in group:
                        self._show(each.name)

    def _say(self, names: str, group: Sequence[Variant], models: int, done: int) -> None:
        """How far the scoring is, with so many `models` loaded."""
        left, missing = self._left(group), self._passages.missing_tokens
        to_read = models * (sum(len(each.tokens) for each in left) + missing)
        work: Work = Work({"reading": to_read, "sampling": missing})
        remaining_s = self._task.outlook.remaining_s(work + self._greedy.work(models))
        total = done + len(left) + self._passages.missing_blocks
        self._task.talk.progress("scoring", names, done, total, remaining_s)

    def _stretches(self, scorer: Scorer, group: Sequence[Variant]) -> Iterator[Sequence[Block]]:
        """What is left to score, as much at once as is sure to be scored; the reference writes more whenever
        all that is there was, unless more would change nothing."""
        place = 0
        while not (self._may_stop and self._is_enough(place)):
            main = self._passages.main
            if place == len(main):
                if not self._passages.missing_tokens:
                    break
                self._reference.grow(scorer)
                continue
            end = self._sure(place) if self._may_stop else len(main)
            yield [block for block in main[place:end] if self._lacks(group, block)]
            place = end
        yield [block for block in self._passages.fixed if self._lacks(group, block)]

    def _sure(self, place: int) -> int:
        """The place behind the blocks of the main text that are scored whatever the first of them say."""
        main = self._passages.main
        totals = enumerate(accumulate(block.scored_tokens for block in main), start=1)
        sure = (end for end, tokens in totals if end > place and tokens >= plan.LEAST_TOKENS)
        return next(sure, len(main))

    def _is_enough(self, place: int) -> bool:
        """Whether the ranking is settled by the main text's first blocks. A number of chunks that was asked
        for stays."""
        tokens = sum(each.scored_tokens for each in self._passages.main[:place])
        is_asked = self._task.order.request.chunks is not None
        return self._is_settled and tokens >= plan.LEAST_TOKENS and not is_asked

    def _lacks(self, group: Sequence[Variant], block: Block) -> bool:
        return not all(self.scores.has(each.name, block) for each in group)

    def _left(self, group: Sequence[Variant]) -> list[Block]:
        return [block for block in self._passages.blocks if self._lacks(group, block)]

    def _keep(self, group: Sequence[Variant], block: Block, scored: Scored) -> None:
        for each, candidate in zip(group, scored.candidates, strict=True):
            self.scores.add(each.name, block.index, Score(scored.reference, candidate))
            payload = encode(scored.reference, candidate)
            self._task.evidence.keep_piece(self._key(each), block.index, payload)

    def _watch_ranking(self) -> None:
        was_settled, self._is_settled = self._is_settled, self._is_last and self.scores.is_settled()
        if self._is_settled and not was_settled:
            self._task.talk.say(CompareSettled(seconds=self._task.seconds, ties=self.scores.ties()))

    def _show(self, name: str, **more: object) -> None:
        if (quality := self.scores.quality(name)) is not None:
            self._task.board.update(name, quality=quality[0], domains=quality[1], **more)

    def _key(self, candidate: Variant) -> Key:
        return self._reference.key.beside("scores", f"{FORMAT} of {self._passages.stream}", candidate)
