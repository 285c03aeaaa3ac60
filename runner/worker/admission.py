"""From the queue into slots, with as much of the prompt already computed as can be found."""

from __future__ import annotations

import time
from collections import deque

from native.llama import Context
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot, choose


class Admission:
    """Gives free slots to waiting sequences, first come, first served."""

    def __init__(self, context: Context, slots: list[Slot]) -> None:
        self._context = context
        self._slots = slots

    def admit(self, waiting: deque[Sequence]) -> None:
        while waiting:
            choice = choose(self._slots, waiting[0].tokens)
            if choice is None:
                return
            slot, shared = choice
            sequence = waiting.popleft()
            reused = shared if self._context.keep_prefix(slot.index, shared) else 0
            sequence.computed = sequence.cached = reused
            sequence.started_at = time.perf_counter()
            slot.cached = sequence.tokens[:reused]
            slot.sequence = sequence
