"""Slots: which llama.cpp sequence holds which request, and which tokens stay behind for reuse."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.worker.prefix.snapshot import Checkpoint
from runner.worker.sequence import Sequence

WORTH_TOKENS = 64
"""Fewer are computed again about as fast as they are copied."""
_WORTH_PART = 8
"""What is lost must be at least one part in so many of what is copied to save it."""


@dataclass(slots=True)
class Slot:
    """One llama.cpp sequence. `cached` are the tokens in its KV cache; a free slot keeps them for reuse.

    While it `is_apart`, more of its sequence has been computed elsewhere than it has.
    `checkpoints`, in order of length, are where its memory can go back to. `used` counts up with the requests
    of all slots: the highest ended last.
    """

    index: int
    cached: array[int] = field(default_factory=lambda: array("i"))
    checkpoints: list[Checkpoint] = field(default_factory=list)
    sequence: Sequence | None = None
    is_apart: bool = False
    used: int = 0


def loss(slot: Slot, kept: int) -> int:
    """Tokens that go if all but the first `kept` are overwritten; 0 if that is not worth a copy."""
    lost = len(slot.cached) - kept
    return lost if lost >= WORTH_TOKENS and lost * _WORTH_PART >= len(slot.cached) else 0


def cheapest(slots: Iterable[Slot]) -> Slot:
    """The free slot to overwrite: one with nothing to lose, else the least recently used. Raises ValueError
    if all are busy.

    Among equals the lowest: llama.cpp is fastest when the busy sequences are gapless from 0.
    """
    free = [slot for slot in slots if slot.sequence is None]
    return min(free, key=lambda slot: (loss(slot, 0) and slot.used, slot.index))
