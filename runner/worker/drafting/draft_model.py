"""A second, smaller model that guesses what the first will say."""

from __future__ import annotations

from array import array
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from native.llama import Context
from runner.worker.drafting.drafter import READ_TOKENS, Drafter, Wish
from runner.worker.prefix.index import common_prefix
from runner.worker.slots import Slot


@dataclass(slots=True)
class _Held:
    """What the draft model's cache has of a slot. The first `agreed` tokens are the request's own."""

    tokens: array[int] = field(default_factory=lambda: array("i"))
    request_id: str = ""
    agreed: int = 0


class DraftModel(Drafter):
    """Reads the same tokens as the main model, as far as somebody wants guesses."""

    def __init__(self, context: Context, main_size_bytes: int) -> None:
        # A token costs about a pass over the weights.
        super().__init__(context, context.model.size_bytes / main_size_bytes)
        self._held = [_Held() for _ in range(context.options.sequences)]

    def close(self) -> None:
        self.context.model.close()

    def unread(self, wish: Wish) -> int:
        return len(wish.tokens) - self._known(wish)

    def forget(self, request_id: str) -> None:
        for held in self._held:
            if held.request_id == request_id:
                held.request_id, held.agreed = "", 0

    def read(self, wishes: Sequence[Wish]) -> dict[int, int]:
        chunks, up_to_date, room = {}, set(), self.context.options.batch_tokens
        for wish in wishes:
            start = self._rewind(wish)
            chunk = wish.tokens[start : start + min(READ_TOKENS, room)]
            room -= len(chunk)
            chunks[wish.slot] = chunk
            if start + len(chunk) == len(wish.tokens):
                up_to_date.add(wish.slot)
        rows = self._decode(chunks, up_to_date)
        for wish in wishes:
            held = self._held[wish.slot]
            held.request_id, held.agreed = wish.request_id, len(held.tokens)
        return rows

    def go_on(self, guesses: dict[int, int], rows: dict[int, int]) -> dict[int, int]:
        return self._decode({slot: [token] for slot, token in guesses.items()}, guesses.keys())

    def follow(self, main: Context, slots: Sequence[Slot]) -> None:
        """Nothing: it reads tokens when it needs them."""

    def _known(self, wish: Wish) -> int:
        held = self._held[wish.slot]
        return held.agreed if held.request_id == wish.request_id else 0

    def _rewind(self, wish: Wish) -> int:
        """Drop from the cache what is not in the sequence: rejected guesses, or another request. How many
        tokens stay; the last one is read again in any case, for its logits."""
        held, known = self._held[wish.slot], self._known(wish)
        shared = known + common_prefix(held.tokens[known:], array("i", wish.tokens[known:]))
        start = min(shared, len(wish.tokens) - 1)
        if start < len(held.tokens) and not self.context.keep_prefix(wish.slot, start):
            start = 0
        del held.tokens[start:]
        return start

    def _decode(self, chunks: dict[int, Sequence[int]], with_logits: Set[int]) -> dict[int, int]:
        """Decode a chunk for each slot; rows of the last logits of those `with_logits`."""
        if not any(chunks.values()):
            return {}
        batch, rows = self.context.batch, {}
        batch.clear()
        for slot, chunk in chunks.items():
            if chunk:
                held = self._held[slot]
                row = batch.add(slot, len(held.tokens), chunk, int(slot in with_logits)) - 1
                held.tokens.extend(chunk)
                if slot in with_logits:
                    rows[slot] = row
        self.decode()
        return rows
