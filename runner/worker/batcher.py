"""Which tokens go into the next step: pure, decided from lengths alone."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pending:
    """A busy slot and the tokens it waits to have decoded: the rest of its prompt, or the last one picked
    with what a constraint or a draft put behind it."""

    slot: int
    tokens: int
    is_prefilling: bool


def plan(pending: Seq[Pending], batch_tokens: int, chunk_tokens: int) -> list[tuple[int, int]]:
    """`(slot, token count)` in ascending slot order, which llama.cpp needs to decode them as one batch.

    One decode holds `batch_tokens`. Generating slots come first. Prompts share the rest evenly, and beside
    generating slots no more than `chunk_tokens`; what a short one leaves over goes to the next.
    """
    chunks = []
    room = batch_tokens
    waiting = sum(1 for p in pending if not p.is_prefilling)
    for slot in pending:
        if not slot.is_prefilling:
            waiting -= 1
            count = min(slot.tokens, room - waiting)
            chunks.append((slot.slot, count))
            room -= count
    if chunks:
        room = min(room, chunk_tokens)
    prompts = sorted((p for p in pending if p.is_prefilling), key=lambda p: p.tokens)
    for index, prompt in enumerate(prompts):
        share = min(prompt.tokens, room // (len(prompts) - index))
        room -= share
        if share:
            chunks.append((prompt.slot, share))
    return sorted(chunks)
