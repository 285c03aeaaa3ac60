"""Which tokens go into the next step: pure, decided from lengths alone."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pending:
    """A busy slot and the tokens it waits to have decoded: more than one only while its prompt is read."""

    slot: int
    tokens: int
    is_prefilling: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """`batch_tokens` is what one decode can hold. While somebody is generating, prompts get only
    `prefill_chunk_tokens` of it in a step: the step's time is the gap that the others see."""

    batch_tokens: int
    prefill_chunk_tokens: int


def plan(pending: Seq[Pending], budget: Budget) -> list[tuple[int, int]]:
    """`(slot, token count)` in ascending slot order, which llama.cpp needs to decode them as one batch.

    Generating slots come first with their one token. Prompts then share the rest evenly; what a short one
    leaves over goes to the next.
    """
    generating = [(p.slot, 1) for p in pending if not p.is_prefilling]
    room = budget.batch_tokens - len(generating)
    if generating:
        room = min(room, budget.prefill_chunk_tokens)
    chunks = []
    prompts = sorted((p for p in pending if p.is_prefilling), key=lambda p: p.tokens)
    for index, prompt in enumerate(prompts):
        share = min(prompt.tokens, room // (len(prompts) - index))
        room -= share
        if share:
            chunks.append((prompt.slot, share))
    return sorted(generating + chunks)
