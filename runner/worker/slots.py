"""Slots: which llama.cpp sequence holds which request, and which tokens stay behind for reuse."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.worker.sequence import Sequence


@dataclass(slots=True)
class Slot:
    """One llama.cpp sequence. `cached` are the tokens in its KV cache; a free slot keeps them for reuse."""

    index: int
    cached: list[int] = field(default_factory=list)
    sequence: Sequence | None = None


def choose(slots: list[Slot], prompt: list[int]) -> tuple[Slot, int] | None:
    """The free slot for `prompt`, and how many of its tokens are reusable; None if all are busy.

    The longest common prefix wins, but only where it is most of what the slot would lose: a chat that shares
    its first words with another must not take the other's slot while an empty one is free. Then the lowest
    index: llama.cpp is fastest when busy sequences are gapless from 0.
    """
    free = [slot for slot in slots if slot.sequence is None]
    if not free:
        return None
    best = max(free, key=lambda slot: (common_prefix(slot.cached, prompt), -slot.index))
    shared = common_prefix(best.cached, prompt)
    if 2 * shared < len(best.cached):
        best = min(free, key=lambda slot: (len(slot.cached) > 0, slot.index))
        shared = common_prefix(best.cached, prompt)
    # The last prompt token is decoded again in any case: its logits pick the first new token.
    return best, min(shared, len(prompt) - 1)


def common_prefix(a: list[int], b: list[int]) -> int:
    """Length of the longest common prefix, in tokens."""
    longest = min(len(a), len(b))
    if a[:longest] == b[:longest]:
        return longest
    return next(i for i in range(longest) if a[i] != b[i])
