"""Guesses of the next tokens, decoded along with the last one and kept as far as they are right.

Every token is picked from the model's own logits, guessed or not: speculation changes when a token is
computed, never which one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence as Seq

from native.llama import Context, Model
from runner.worker.drafting.gain import Step, StepCosts, best_length, expected
from runner.worker.drafting.lookup import Lookup
from runner.worker.drafting.measure import CostMeasurement
from runner.worker.drafting.ngrams import NgramPool
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot

LONGEST_DRAFT = 15
"""Guesses for one sequence in one step: 16 rows with the token they follow."""

_LOGITS_BYTES = 16 << 20
# New tokens that a step may spend time on: a prompt is learned while it is read, and what is left of it (its
# reused part) bit by bit. 64 take 0.3 ms.
_LEARNED_READING, _LEARNED_GENERATING = 512, 64


def draft_tokens(model: Model, slots: int) -> int:
    """How many guesses one step should have room for. Each needs a row of logits: 4 bytes for each token of
    the vocabulary. 0 if the model cannot take tokens back."""
    if model.is_recurrent:
        return 0
    return min(slots * LONGEST_DRAFT, _LOGITS_BYTES // (4 * model.vocabulary_size))


class Speculation:
    """Drafts for the sequences of one context, where the arithmetic says that they pay."""

    def __init__(self, context: Context) -> None:
        """Off if the context has no room for drafts."""
        self._context = context
        self._room = context.options.draft_tokens
        self._costs = StepCosts()
        self._measurement = CostMeasurement(context, self._costs)
        self._pool = NgramPool()
        self._lookups: dict[str, Lookup] = {}

    def draft(self, slots: Seq[Slot]) -> None:
        """Set `draft` of every sequence that generates; call once a step, before it is planned."""
        if not self._room:
            return
        sequences = [s for slot in slots if (s := slot.sequence) is not None and s.request.speculation]
        for sequence in sequences:
            limit = _LEARNED_READING if sequence.is_prefilling else _LEARNED_GENERATING
            self._lookup(sequence).learn(sequence.tokens, limit)
        busy = sum(1 for slot in slots if slot.sequence is not None)
        step, room = Step(busy, busy), self._room
        for sequence in sequences:
            if not sequence.is_prefilling and self._costs.is_known:
                most = min(room, LONGEST_DRAFT, self._left(sequence))
                guesses, chances = self._lookup(sequence).guess(sequence.tokens, most)
                length = best_length(chances, step, self._costs)
                sequence.draft = guesses[:length]
                step = Step(step.rows + length, step.tokens + expected(chances[:length]))
                room -= length

    def observe(self, rows: int, step_s: float) -> None:
        """A step without prompt tokens decoded `rows` in `step_s`."""
        self._costs.observe(rows, step_s)

    def ended(self, sequence: Sequence) -> None:
        """No more tokens will come."""
        self._lookups.pop(sequence.request_id, None)

    def use_idle_time(self, slots: Seq[Slot]) -> bool:
        """Spend one decode on measuring what steps cost. False if that is done."""
        return bool(self._room) and self._measurement.advance(slots)

    def _lookup(self, sequence: Sequence) -> Lookup:
        lookup = self._lookups.get(sequence.request_id)
        if lookup is None:
            lookup = self._lookups[sequence.request_id] = Lookup(self._pool, secrets.randbits(62))
        return lookup

    def _left(self, sequence: Sequence) -> int:
        """Guesses that the sequence has room for: one token comes anyway."""
        left = self._context.sequence_context_length - len(sequence.tokens)
        if (limit := sequence.request.sampling.max_tokens) is not None:
            left = min(left, limit - sequence.completion_length)
        return max(0, left - 1)
