"""What a step of k rows costs, measured while nobody waits: one decode at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from native.llama import Context
from runner.worker.drafting.gain import ROWS, StepCosts
from runner.worker.slots import Slot

# The first decode of a size builds its graph, and the very first one reads the weights from disk.
_DECODES_EACH = 3
# A request that comes now waits for the decode to end: where that takes longer, larger sizes are left out.
_LONGEST_S = 0.25
# Spread over the vocabulary, so that a mixture-of-experts model uses different experts as real text does.
_TOKEN_STRIDE = 7919


class CostMeasurement:
    """Decodes scratch tokens behind what a free slot holds, and removes them again, as verifying does."""

    def __init__(self, context: Context, costs: StepCosts) -> None:
        self._context = context
        self._costs = costs
        sizes = [rows for rows in ROWS if rows <= min(context.options.outputs, context.options.batch_tokens)]
        self._left = [rows for rows in sizes for _ in range(_DECODES_EACH)]
        self._seconds: dict[int, float] = {}

    def advance(self, slots: Sequence[Slot]) -> bool:
        """One decode. False: there is nothing left to do, or no room for it now."""
        if not self._left:
            return False
        length = self._context.sequence_context_length
        # A state that cannot be taken back that far must have nothing to lose.
        longest = 0 if self._context.model.is_recurrent else length - ROWS[-1]
        slot = next((s for s in slots if s.sequence is None and len(s.cached) <= longest), None)
        if slot is None:
            return False
        rows = self._left.pop(0)
        seconds = self._decode(slot, rows)
        self._seconds[rows] = min(seconds, self._seconds.get(rows, seconds))
        if rows not in self._left and self._seconds[rows] > _LONGEST_S:
            self._left.clear()
        if not self._left:
            self._costs.measured(self._seconds)
        return True

    def _decode(self, slot: Slot, rows: int) -> float:
        vocabulary = self._context.model.vocabulary_size
        tokens = [index * _TOKEN_STRIDE % vocabulary for index in range(1, rows + 1)]
        self._context.batch.clear()
        self._context.batch.add(slot.index, len(slot.cached), tokens, rows)
        started = time.perf_counter()
        self._context.decode()
        seconds = time.perf_counter() - started
        if not self._context.keep_prefix(slot.index, len(slot.cached)):
            del slot.cached[:]
        return seconds
