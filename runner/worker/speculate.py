"""Guesses of the next tokens, decoded along with the last one and kept as far as they are right.

Every token is picked from the model's own logits, guessed or not: speculation changes when a token is
computed, never which one.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace

from native.llama import Context, Model
from runner.worker.drafting.drafter import Drafter, Wish
from runner.worker.drafting.gain import Step, StepCosts, best_length, expected
from runner.worker.drafting.lookup import Lookup
from runner.worker.drafting.measure import CostMeasurement
from runner.worker.drafting.ngrams import NgramPool
from runner.worker.drafting.trust import Trials, Trust
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot

LONGEST_DRAFT = 15
"""Guesses for one sequence in one step: 16 rows with the token they follow."""

_LONGEST_DECODED_DRAFT = 8
_LOGITS_BYTES = 16 << 20
# New tokens that a step may spend time on: a prompt is learned while it is read, and what is left of it (its
# reused part) bit by bit. 64 take 0.3 ms.
_LEARNED_READING, _LEARNED_GENERATING = 512, 64


def draft_tokens(model: Model, slots: int, rollback_tokens: int = 0) -> int:
    """How many guesses one step should have room for. Each needs a row of logits: 4 bytes for each token of
    the vocabulary. A recurrent state can take back `rollback_tokens`."""
    longest = rollback_tokens if model.is_recurrent else LONGEST_DRAFT
    return min(slots * longest, _LOGITS_BYTES // (4 * model.vocabulary_size))


@dataclass(slots=True)
class _Track:
    """What is known of one sequence."""

    lookup: Lookup
    trust: Trust
    is_on_trial: bool = False


class Speculation:
    """Drafts for the sequences of one context, where the arithmetic says that they pay."""

    def __init__(self, context: Context, drafter: Drafter | None = None) -> None:
        """Off if the context has no room for drafts."""
        self._context = context
        self._drafter = drafter
        self._longest = context.options.rollback_tokens if context.model.is_recurrent else LONGEST_DRAFT
        self._costs = StepCosts()
        self._measurement = CostMeasurement(context, self._costs)
        self._pool = NgramPool()
        self._tracks: defaultdict[str, _Track] = defaultdict(self._new_track)
        # In the drafter, of all sequences.
        self._trust = Trust()
        self._trials = Trials()
        self._turn = 0
        # The step that is being put together.
        self._step = Step(0, 0)
        self._room = 0

    def draft(self, busy: Seq[tuple[Slot, Sequence]]) -> None:
        """Set `draft` of every sequence that generates; call once a step, before it is planned."""
        if not self._context.options.draft_tokens:
            return
        wanted = [(slot.index, sequence) for slot, sequence in busy if sequence.request.speculation]
        for _, sequence in wanted:
            self._learn(sequence)
        if not self._costs.is_known:
            return
        self._step = Step(len(busy), len(busy))
        self._room = self._context.options.draft_tokens
        generating = [(slot, sequence) for slot, sequence in wanted if not sequence.is_prefilling]
        for _, sequence in generating:
            most = min(self._longest, self._left(sequence))
            self._choose(sequence, *self._tracks[sequence.request_id].lookup.guess(sequence.tokens, most))
        if self._drafter is not None:
            self._ask(
                self._drafter, [(slot, sequence) for slot, sequence in generating if not sequence.draft]
            )

    def read(self, sequence: Sequence) -> None:
        """A part of its prompt has been read apart."""
        if self._context.options.draft_tokens and sequence.request.speculation:
            self._learn(sequence)

    def follow(self, slots: Seq[Slot]) -> None:
        """The batch with everybody's tokens and drafts has been decoded."""
        if self._drafter is not None:
            self._drafter.follow(self._context, slots)

    def observe(self, rows: int, step_s: float) -> None:
        """A step without prompt tokens decoded `rows` in `step_s`."""
        if self._context.options.draft_tokens:
            self._costs.observe(rows, step_s)

    def ended(self, sequence: Sequence) -> None:
        """No more tokens will come, or they stand elsewhere now."""
        self._tracks.pop(sequence.request_id, None)
        if self._drafter is not None:
            self._drafter.forget(sequence.request_id)

    def use_idle_time(self, slots: Seq[Slot]) -> bool:
        """Spend one decode on measuring what steps cost. False if that is done."""
        return bool(self._context.options.draft_tokens) and self._measurement.advance(slots)

    def close(self) -> None:
        if self._drafter is not None:
            self._drafter.close()

    def _learn(self, sequence: Sequence) -> None:
        limit = _LEARNED_READING if sequence.is_prefilling else _LEARNED_GENERATING
        self._tracks[sequence.request_id].lookup.learn(sequence.tokens, limit)

    def _choose(self, sequence: Sequence, guesses: list[int], chances: list[float]) -> None:
        """Take as many of the guesses into the step as pay, and as it has room for."""
        length = best_length(chances[: self._room], self._step, self._costs)
        sequence.draft = guesses[:length]
        self._step = Step(self._step.rows + length, self._step.tokens + expected(chances[:length]))
        self._room -= length

    def _ask(self, model: Drafter, candidates: list[tuple[int, Sequence]]) -> None:
        """Have the drafter guess for those sequences for which that pays, or may pay again."""
        if not candidates:
            return
        main_s = self._costs.seconds(1)
        # One decode of the drafter makes a guess for each of them.
        token_s = model.token_s(main_s) / len(candidates)
        wishes = self._wishes(model, candidates, token_s)
        model.context.set_threads(self._context.threads, self._context.threads)
        a_guess_s = token_s + self._costs.seconds(2) - main_s
        drafts = model.draft(wishes, a_guess_s / main_s)
        for slot, sequence in candidates:
            if drafted := drafts.get(slot):
                track = self._tracks[sequence.request_id]
                track.is_on_trial = False
                track.trust.guessed(len(sequence.tokens), drafted.tokens, drafted.confidences)
                self._choose(sequence, drafted.tokens, track.trust.chances(drafted.confidences))

    def _wishes(self, model: Drafter, candidates: list[tuple[int, Sequence]], token_s: float) -> list[Wish]:
        main_s = self._costs.seconds(1)
        self._turn = (self._turn + 1) % len(candidates)
        wishes = []
        for index, (slot, sequence) in enumerate(candidates):
            track = self._tracks[sequence.request_id]
            track.trust.learn(sequence.tokens)
            most = min(_LONGEST_DECODED_DRAFT, self._longest, self._left(sequence))
            wish = Wish(slot, sequence.request_id, sequence.tokens, most)
            read_s, acceptance = model.read_s(wish, main_s), track.trust.acceptance
            if read_s > main_s:
                acceptance = min(acceptance, self._trust.acceptance)
            chances = [acceptance] * most
            length = best_length(chances, self._step, self._costs, token_s)
            # A text goes on for about as long as it has: what was missed must be worth reading until then.
            if read_s > expected(chances[:length]) * main_s * sequence.completion_length:
                length = 0
            if not length and most and index == self._turn and not track.is_on_trial:
                price_s = model.token_s(main_s) + read_s
                track.is_on_trial = self._trials.may_begin(self._costs.seconds(self._step.rows), price_s)
            if length or (most and track.is_on_trial):
                wishes.append(replace(wish, most=max(1, length)))
        return wishes

    def _new_track(self) -> _Track:
        return _Track(Lookup(self._pool, secrets.randbits(62)), Trust(self._trust))

    def _left(self, sequence: Sequence) -> int:
        """Guesses that there is room for: in the step, and in the sequence, which gets one token anyway."""
        options = self._context.options
        left = min(options.context_length, self._context.sequence_context_length) - len(sequence.tokens)
        if (limit := sequence.request.sampling.max_tokens) is not None:
            left = min(left, limit - sequence.completion_length)
        return max(0, min(self._room, left - 1))
