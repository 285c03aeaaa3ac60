"""What drafts one token after another, by decoding: the part that a draft model and a head have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from native.llama import Context
from runner.worker.slots import Slot

READ_TOKENS = 128
"""Of one sequence in one step: what it has not read yet must not become a pause for the others."""
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
    """Guesses, and how sure the drafter is of each: its probability, 0…1."""

    tokens: list[int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    reach: float = 1.0


class Drafter(ABC):
    """Its context has the slots of the main one, and drafts for all of them in one decode a position."""

    def __init__(self, context: Context, relative_s: float) -> None:
        """`relative_s` is what a token may take, in those of the main model, until it has been measured."""
        self.context = context
        self._relative_s = relative_s
        self._token_s: float | None = None
        self._read_s: float | None = None

    def close(self) -> None:
        self.context.close()

    def token_s(self, main_token_s: float) -> float:
        """Seconds of one more guess for each sequence, where the main model's token takes `main_token_s`."""
        return self._relative_s * main_token_s if self._token_s is None else self._token_s

    def read_s(self, wish: Wish, main_token_s: float) -> float:
        """Seconds to read what it has missed of a sequence."""
        a_token = self.token_s(main_token_s) / 4 if self._read_s is None else self._read_s
        return max(0, self.unread(wish) - 1) * a_token

    def draft(self, wishes: Sequence[Wish], least_reach: float) -> dict[int, Drafted]:
        """By slot, for `wishes` in ascending order of slots. Nothing for a slot that has more to read first.

        Drafting ends at a guess that will be reached with a probability below `least_reach`.
        """
        drafts: dict[int, Drafted] = {}
        rows = self.read([wish for wish in wishes if self._has_room(wish)])
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
            if active:
                rows = self.go_on({wish.slot: drafts[wish.slot].tokens[-1] for wish in active}, rows)
        return drafts

    @abstractmethod
    def unread(self, wish: Wish) -> int:
        """How many tokens of a sequence have to be read before the first guess."""

    @abstractmethod
    def read(self, wishes: Sequence[Wish]) -> dict[int, int]:
        """Catch up with the sequences. The row of logits of each slot that is up to date."""

    @abstractmethod
    def go_on(self, guesses: dict[int, int], rows: dict[int, int]) -> dict[int, int]:
        """Take a guess by slot for true. `rows` are those it was made from; returns those behind it."""

    @abstractmethod
    def forget(self, request_id: str) -> None:
        """The request's tokens are others than before, or it has ended."""

    @abstractmethod
    def follow(self, main: Context, slots: Sequence[Slot]) -> None:
        """The main model has decoded its batch."""

    def decode(self) -> None:
        """Run the context's batch, and take the time."""
        started = time.perf_counter()
        self.context.decode()
        seconds = time.perf_counter() - started
        batch = self.context.batch
        tokens = int(batch.struct.n_tokens)
        if tokens == len(batch.parts):
            self._token_s = _blend(self._token_s, seconds)
        elif tokens >= READ_TOKENS // 2:
            self._read_s = _blend(self._read_s, seconds / tokens)

    def _has_room(self, wish: Wish) -> bool:
        return len(wish.tokens) + wish.most <= self.context.sequence_context_length


def _likeliest(context: Context, row: int) -> tuple[int, float]:
    import numpy as np  # only workers with a drafter get here

    logits = context.logits(row)
    token = int(logits.argmax())
    return token, 1 / float(np.exp(logits - logits[token]).sum())


def _blend(before: float | None, new: float) -> float:
    return new if before is None else before + _NEWEST_WEIGHT * (new - before)
