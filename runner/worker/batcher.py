"""Which tokens go into the next step: pure, decided from lengths and from whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from runner.worker.pace import FLASH_TILE_TOKENS


@dataclass(frozen=True, slots=True)
class Pending:
    """A busy slot and the tokens it waits to have decoded: the rest of its prompt, or the last one picked
    with what a constraint or a draft put behind it."""

    slot: int
    tokens: int


class Batcher:
    """Generating slots and prompts take turns, and so do the prompts.

    Not both in one step: of a batch with several sequences llama.cpp computes one token of each first, and a
    prompt's token takes longer so than in a tile: 20 ms instead of 8, behind 3,000 others.

    Not equal shares for the prompts either: those of a few prompts are smaller than the tiles in which
    attention is computed, and take many times as long.
    """

    def __init__(self, batch_tokens: int, tile_tokens: int) -> None:
        """One decode holds `batch_tokens`. Fewer than `tile_tokens` of a prompt are no part worth reading."""
        self._batch_tokens = batch_tokens
        self._tile_tokens = tile_tokens
        self._has_generated = False
        self._last_first = -1

    def reads_next(self, generating: int, prompts: int) -> bool:
        """Whether the next step is the prompts', with so many slots of both kinds."""
        reads = prompts > 0 and (generating == 0 or self._has_generated)
        self._has_generated = not reads
        return reads

    def generation(self, pending: Seq[Pending]) -> list[tuple[int, int]]:
        """`(slot, token count)` in ascending slot order: llama.cpp then decodes them as one batch."""
        chunks = []
        room = self._batch_tokens
        for waiting, slot in zip(range(len(pending) - 1, -1, -1), pending, strict=True):
            count = min(slot.tokens, room - waiting)
            chunks.append((slot.slot, count))
            room -= count
        return chunks

    def reading(self, prompts: Seq[Pending], chunk_tokens: int | None) -> list[tuple[int, int]]:
        """`(slot, token count)` in ascending slot order, of `chunk_tokens` together (None: a batch). The one
        whose turn it is takes all it can; what it leaves goes to the next.

        The turn goes around the slots by who came first, not by who got what was left.
        """
        chunks: list[tuple[int, int]] = []
        room = min(chunk_tokens or self._batch_tokens, self._batch_tokens)
        for prompt in sorted(prompts, key=lambda p: (p.slot <= self._last_first, p.slot)):
            most = room if chunks else self._batch_tokens
            count = _without_short_rest(prompt.tokens, min(prompt.tokens, room), most)
            if count > 0 and (not chunks or count == prompt.tokens or count >= self._tile_tokens):
                chunks.append((prompt.slot, count))
                room -= count
        self._last_first = chunks[0][0]
        return sorted(chunks)


def _without_short_rest(pending: int, count: int, most: int) -> int:
    """`count`, or fewer: a last part of less than a tile would take longer than a whole one. Or all, up to
    `most`, if they are less than two tiles."""
    if not 0 < pending - count < FLASH_TILE_TOKENS <= count:
        return count
    if pending >= 2 * FLASH_TILE_TOKENS:
        return pending - FLASH_TILE_TOKENS
    return pending if pending <= most else count
