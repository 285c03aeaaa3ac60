"""Generating beyond the context: the oldest part is forgotten, and what follows moves up."""

from __future__ import annotations

from array import array

from native.llama import Context
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot

_KEPT_PART = 4
"""At most one part in so many of the context is never forgotten, however long the system prompt is."""
FORGOTTEN = -1
"""In the place of tokens in `Slot.cached`: no prompt has it, so nothing from here on is ever reused."""


def shift(context: Context, slot: Slot, sequence: Sequence) -> None:
    """Forget the older half of what may be forgotten: all but the beginning that the request keeps.

    The rest keeps its keys and values, at lower positions; they were computed when the forgotten part was
    still there, so they are not those of a prompt without it.
    """
    # The first token stays in any case: attention rests on it.
    kept = max(1, min(sequence.kept, len(sequence.tokens) // _KEPT_PART))
    count = (sequence.computed - kept) // 2
    context.forget(slot.index, kept, count)
    del sequence.tokens[kept : kept + count]
    sequence.computed -= count
    sequence.shifted += count
    slot.cached[kept:] = array("i", [FORGOTTEN]) * (sequence.computed - kept)
