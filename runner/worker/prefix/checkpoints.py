"""Where a memory that cannot be cut anywhere can go back to: partial states, taken while a prompt is read."""

from __future__ import annotations

from native import state
from native.llama import Context
from runner.worker.prefix.history import History
from runner.worker.prefix.snapshot import Checkpoint
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot

_EVERY_TOKENS = 1024
_LEAST_TOKENS = 256
"""Reading so few again is not worth the extra step that a checkpoint at a prompt's end needs."""
_MOST = 8


class Checkpoints:
    """Takes them: every so many tokens, and one token before the end of a prompt, whose last token is always
    computed again. A slot's may take `slot_bytes`."""

    def __init__(self, context: Context, history: History, slot_bytes: int) -> None:
        self._context = context
        self._slot_bytes = 0 if history.is_whole else slot_bytes

    def plan(self, slot: Slot, sequence: Sequence) -> None:
        """Make prefill stop where the next checkpoint is due."""
        last = slot.checkpoints[-1].length if slot.checkpoints else 0
        if self._slot_bytes and sequence.prompt_length - last > _LEAST_TOKENS:
            sequence.checkpoint_at = _next(sequence)

    def take(self, slot: Slot, sequence: Sequence) -> None:
        """After a decode: take one if it is time."""
        if not self._slot_bytes or sequence.computed != sequence.checkpoint_at:
            return
        sequence.checkpoint_at = _next(sequence)
        copy = state.save(self._context, slot.index, is_partial=True)
        most = min(_MOST, self._slot_bytes // max(1, len(copy)))
        if copy and most:
            slot.checkpoints.append(Checkpoint(sequence.computed, copy))
            while len(slot.checkpoints) > most:
                _thin(slot.checkpoints)


def _next(sequence: Sequence) -> int:
    """Where it is due after what has been computed; 0 if nowhere."""
    end = sequence.prompt_length - 1
    return min(sequence.computed + _EVERY_TOKENS, end) if sequence.computed < end else 0


def _thin(taken: list[Checkpoint]) -> None:
    """Remove the one that leaves the smallest gap, never the last."""
    ends = [0, *(each.length for each in taken)]
    gaps = [ends[index + 2] - ends[index] for index in range(len(taken) - 1)]
    del taken[gaps.index(min(gaps)) if gaps else 0]
