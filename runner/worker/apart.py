"""Long prompts that are read in a context of their own, one at a time, while the other slots go on."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence as Seq
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from native.errors import LlamaError
from native.llama import Context
from native.reading import LEAST_TOKENS, Reading
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot

_TURN_TOKENS = 2048
"""After so many another long prompt has its turn: moving both takes 1 or 2 % of the time they do."""

Busy = Seq[tuple[Slot, Sequence]]


@dataclass(slots=True)
class _Trip:
    """A sequence is read from `start` to `end`; `count` of its tokens are being decoded. The slot may have
    been released meanwhile, and is still not free."""

    slot: Slot
    sequence: Sequence
    reading: Reading
    start: int
    end: int
    count: int = 0
    is_ended: bool = False


class Apart:
    """Whose prompt it is, and how far it is. Only `reading`'s decodes run in another thread."""

    def __init__(self, home: Context, most_tokens: int, least_tokens: int = LEAST_TOKENS) -> None:
        """The first `most_tokens` of prompts that have `least_tokens`; with 0, none are."""
        self._home = home
        self._most_tokens, self._least_tokens = most_tokens, least_tokens
        self._trip: _Trip | None = None
        self._last = -1

    @property
    def is_computing(self) -> bool:
        return self._trip is not None and not self._trip.reading.is_over

    def others(self, busy: Busy) -> list[tuple[Slot, Sequence]]:
        """Those whose tokens are decoded where they are: neither apart nor waiting for that."""
        wanted = self._wanted(busy)
        return [each for each in busy if not each[0].is_apart and each not in wanted]

    def go_on(self, busy: Busy) -> Sequence | None:
        """Begin to decode the next batch of a prompt, if none is being decoded; whose it is."""
        wanted = self._wanted(busy)
        if self._trip is None and wanted:
            self._begin(*min(wanted, key=lambda each: (each[0].index <= self._last, each[0].index)))
        trip = self._trip
        if trip is None or trip.count or trip.is_ended:
            return None
        trip.is_ended = bool(wanted) and trip.sequence.computed - trip.start >= _TURN_TOKENS
        return None if trip.is_ended else self._decode(trip)

    def take(self) -> tuple[Slot, Sequence, int | None] | None:
        """Whose batch has been decoded, if one has, and the row of its logits; None if the prompt goes on.
        Raises LlamaError."""
        trip = self._trip
        if trip is None or not trip.count or self.is_computing:
            return None
        trip.reading.finish()
        row, trip.count = trip.count - 1, 0
        trip.sequence.computed += row + 1
        trip.is_ended = trip.sequence.computed == trip.end
        return trip.slot, trip.sequence, None if trip.sequence.pending else row

    def context_of(self, slot: Slot) -> Context:
        """Where the logits of its last decode are."""
        return self._trip.reading if self._trip and self._trip.slot is slot else self._home

    def wait(self, timeout_s: float) -> None:
        """Until what is being decoded is, but no longer."""
        if self._trip is not None:
            self._trip.reading.wait(timeout_s)

    def paused(self) -> AbstractContextManager[None]:
        """Nothing is computed here until the end of the block."""
        return self._trip.reading.paused() if self._trip else nullcontext()

    def stop(self, slot: Slot) -> None:
        """The sequence ends where it is: what was read of it stays, if it can, and comes home soon."""
        if (trip := self._trip) is not None and trip.slot is slot:
            is_whole = not trip.count or trip.reading.stop(trip.sequence.computed)
            trip.count, trip.is_ended = 0, True
            if not is_whole or trip.sequence.computed == trip.start:
                self._forget(trip)

    def drop(self, slot: Slot) -> None:
        """As `stop`, but nothing of it may stay."""
        self.stop(slot)
        if (trip := self._trip) is not None and trip.slot is slot:
            self._forget(trip)

    def come_home(self) -> bool:
        """If a prompt, or its turn, is over: give the slot what was read, or have it read again if that
        fails."""
        if (trip := self._trip) is None or not trip.is_ended:
            return False
        slot, sequence = trip.slot, trip.sequence
        self._trip, slot.is_apart = None, False
        if trip.reading.move_home():
            slot.cached = array("i", sequence.tokens[: sequence.computed])
        else:
            self._most_tokens = 0
            self._home.clear(slot.index)
            del slot.cached[:], slot.checkpoints[:]
            sequence.computed = 0
        return True

    def close(self) -> None:
        if self._trip is not None:
            self.stop(self._trip.slot)
            self.come_home()

    def _forget(self, trip: _Trip) -> None:
        trip.reading.close()
        self._trip, trip.slot.is_apart = None, False

    def _wanted(self, busy: Busy) -> list[tuple[Slot, Sequence]]:
        """Those at home whose prompts are better read apart."""
        return [each for each in busy if self._is_long(*each)]

    def _is_long(self, slot: Slot, sequence: Sequence) -> bool:
        is_there = sequence.is_prefilling and not slot.is_apart
        return is_there and self._end(sequence) - sequence.computed >= self._least_tokens

    def _end(self, sequence: Sequence) -> int:
        """How far the sequence can be read apart."""
        return min(sequence.computed + sequence.due, self._most_tokens)

    def _begin(self, slot: Slot, sequence: Sequence) -> None:
        start, end = sequence.computed, self._end(sequence)
        try:
            reading = Reading(self._home, slot.index, start, end)
        except LlamaError as error:
            self._most_tokens = 0
            sys.stderr.write(f"long prompts are not read apart: {error}\n")
            return
        self._trip = _Trip(slot, sequence, reading, start, end)
        self._last, slot.is_apart = slot.index, True

    def _decode(self, trip: _Trip) -> Sequence:
        sequence, batch = trip.sequence, trip.reading.batch
        start = sequence.computed
        trip.count = min(batch.capacity, trip.end - start)
        is_last = trip.count == sequence.pending
        if is_last and sequence.picker.guide:
            sequence.picker.guide.begin()
        batch.clear()
        batch.add(0, start, sequence.tokens[start : start + trip.count], outputs=int(is_last))
        trip.reading.start()
        return sequence
