"""Which tokens go into the next step: pure, decided from lengths and from whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from runner.worker.pace import FLASH_TILE_TOKENS

# And one that llama.cpp computes before the others.
_LEAST_REST_TOKENS = FLASH_TILE_TOKENS + 1


@dataclass(frozen=True, slots=True)
class Pending:
    """A busy slot and the tokens it waits to have decoded: the rest of its prompt, or the last one picked
    with what a constraint or a draft put behind it."""

    slot: int
    tokens: int
    is_prefilling: bool


class Batcher:
    """Generating slots come first, prompts take turns.

    Not equal shares in every step: those of a few prompts are smaller than the tiles in which attention is
    computed, and take many times as long.
    """

    def __init__(self, batch_tokens: int, tile_tokens: int) -> None:
        """One decode holds `batch_tokens`. Fewer than `tile_tokens` of a prompt are no part worth reading."""
        self._batch_tokens = batch_tokens
        self._tile_tokens = tile_tokens
        self._last_first = -1

    def plan(self, pending: Seq[Pending], chunk_tokens: int) -> list[tuple[int, int]]:
        """`(slot, token count)` in ascending slot order, which llama.cpp needs to decode them as one batch.

        Beside generating slots prompts get no more than `chunk_tokens`. The one whose turn it is takes all it
        can; what it leaves goes to the next.
        """
        chunks = []
        room = self._batch_tokens
        waiting = sum(1 for p in pending if not p.is_prefilling)
        for slot in pending:
            if not slot.is_prefilling:
                waiting -= 1
                count = min(slot.tokens, room - waiting)
                chunks.append((slot.slot, count))
                room -= count
        if chunks:
            room = min(room, chunk_tokens)
        return sorted(chunks + self._prompts([p for p in pending if p.is_prefilling], room))

    def _prompts(self, prompts: Seq[Pending], room: int) -> list[tuple[int, int]]:
        """The turn goes around the slots by who came first, not by who got what was left."""
        chunks: list[tuple[int, int]] = []
        for prompt in sorted(prompts, key=lambda p: (p.slot <= self._last_first, p.slot)):
            count = _without_short_rest(prompt.tokens, min(prompt.tokens, room))
            if count and (not chunks or count == prompt.tokens or count > self._tile_tokens):
                chunks.append((prompt.slot, count))
                room -= count
        if chunks:
            self._last_first = chunks[0][0]
        return chunks


def _without_short_rest(pending: int, count: int) -> int:
    """`count`, or fewer: a last part of less than a tile would take longer than a whole one."""
    rest = pending - count
    shorter = pending - _LEAST_REST_TOKENS
    return shorter if 0 < rest < _LEAST_REST_TOKENS <= shorter else count
