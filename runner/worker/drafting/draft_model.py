"""A second, smaller model that guesses what the first will say."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from native.llama import Context
from runner.worker.prefix.index import common_prefix

# Of one sequence in one step: what it has not read yet must not become a pause for the others.
_READ_TOKENS = 128
_NEWEST_WEIGHT = 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """Up to `most` guesses of what follows `tokens`, for the sequence of a slot."""

    slot: int
    request_id: str
    tokens: Sequence[int]
    most: int


@dataclass(slots=True)
class Drafted:
    """Guesses, and how sure the draft model is of each: its probability, 0…1."""

    tokens: list[int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    reach: float = 1.0


@dataclass(slots=True)
class _Held:
    """What the draft model's cache has of a slot. The first `agreed` tokens are the request's own."""

    tokens: array[int] = field(default_factory=lambda: array("i"))
    request_id: str = ""
    agreed: int = 0


class DraftModel:
    """Its context has the slots of the main one, and drafts for all of them in one decode a position."""

    def __init__(self, context: Context, main_size_bytes: int) -> None:
        self.context = context
        self._held = [_Held() for _ in range(context.options.sequences)]
        # A token costs about a pass over the weights, until it has been measured.
        self._relative_s = context.model.size_bytes / main_size_bytes
        self._token_s: float | None = None
        self._read_s: float | None = None

    def close(self) -> None:
        self.context.close()
        self.context.model.close()

    def token_s(self, main_token_s: float) -> float:
        """Seconds of one more guess for each sequence, where the main model's token takes `main_token_s`."""
        return self._relative_s * main_token_s if self._token_s is None else self._token_s

    def read_s(self, wish: Wish, main_token_s: float) -> float:
        """Seconds to read what it has missed of a sequence."""
        held = self._held[wish.slot]
        known = held.agreed if held.request_id == wish.request_id else 0
        a_token = self.token_s(main_token_s) / 4 if self._read_s is None else self._read_s
        return max(0, len(wish.tokens) - known - 1) * a_token

    def forget(self, request_id: str) -> None:
        """The request's tokens are others than before, or it has ended."""
        for held in self._held:
            if held.request_id == request_id:
                held.request_id, held.agreed = "", 0

    def draft(self, wishes: Sequence[Wish], least_reach: float) -> dict[int, Drafted]:
        """By slot, for `wishes` in ascending order of slots. Nothing for a slot that has more to read first.

        Drafting ends at a guess that will be reached with a probability below `least_reach`.
        """
        drafts: dict[int, Drafted] = {}
        wishes = [wish for wish in wishes if self._has_room(wish)]
        rows = self._read(wishes)
        active = [wish for wish in wishes if wish.slot in rows]
        while active:
            going = []
            for wish in active:
                drafted = drafts.setdefault(wish.slot, Drafted())
                token, confidence = _likeliest(self.context, rows[wish.slot])
                drafted.tokens.append(token)
                drafted.confidences.append(confidence)
                drafted.reach *= confidence
                if len(drafted.tokens) < wish.most and drafted.reach >= least_reach:
                    going.append(wish)
            active = going
            rows = self._decode({wish.slot: [drafts[wish.slot].tokens[-1]] for wish in active}, active)
        return drafts

    def _has_room(self, wish: Wish) -> bool:
        return len(wish.tokens) + wish.most <= self.context.sequence_context_length

    def _read(self, wishes: Sequence[Wish]) -> dict[int, int]:
        """Catch up with the sequences. The row of logits of each slot that is up to date."""
        chunks, room = {}, self.context.options.batch_tokens
        for wish in wishes:
            start = self._rewind(wish)
            chunks[wish.slot] = wish.tokens[start : start + min(_READ_TOKENS, room)]
            room -= len(chunks[wish.slot])
        up_to_date = [
            wish
            for wish in wishes
            if len(self._held[wish.slot].tokens) + len(chunks[wish.slot]) == len(wish.tokens)
        ]
        rows = self._decode(chunks, up_to_date)
        for wish in wishes:
            held = self._held[wish.slot]
            held.request_id, held.agreed = wish.request_id, len(held.tokens)
        return rows

    def _rewind(self, wish: Wish) -> int:
        """Drop from the cache what is not in the sequence: rejected guesses, or another request. How many
        tokens stay; the last one is read again in any case, for its logits."""
        held = self._held[wish.slot]
        known = held.agreed if held.request_id == wish.request_id else 0
        shared = known + common_prefix(held.tokens[known:], array("i", wish.tokens[known:]))
        start = min(shared, len(wish.tokens) - 1)
        if start < len(held.tokens) and not self.context.keep_prefix(wish.slot, start):
            start = 0
        del held.tokens[start:]
        return start

    def _decode(self, chunks: dict[int, Sequence[int]], with_logits: Sequence[Wish]) -> dict[int, int]:
        """Decode a chunk for each slot; rows of the last logits of those `with_logits`."""
        if not any(chunks.values()):
            return {}
        batch, rows, wanted = self.context.batch, {}, {wish.slot for wish in with_logits}
        batch.clear()
        for slot, chunk in chunks.items():
            if chunk:
                held = self._held[slot]
                row = batch.add(slot, len(held.tokens), chunk, int(slot in wanted)) - 1
                held.tokens.extend(chunk)
                if slot in wanted:
                    rows[slot] = row
        started = time.perf_counter()
        self.context.decode()
        self._observe(time.perf_counter() - started, batch.struct.n_tokens, len(chunks))
        return rows

    def _observe(self, seconds: float, tokens: int, slots: int) -> None:
        if tokens == slots:
            self._token_s = _blend(self._token_s, seconds)
        elif tokens >= _READ_TOKENS // 2:
            self._read_s = _blend(self._read_s, seconds / tokens)


def _likeliest(context: Context, row: int) -> tuple[int, float]:
    import numpy as np  # only workers with a draft model get here

    logits = context.logits(row)
    token = int(logits.argmax())
    return token, 1 / float(np.exp(logits - logits[token]).sum())


def _blend(before: float | None, new: float) -> float:
    return new if before is None else before + _NEWEST_WEIGHT * (new - before)
