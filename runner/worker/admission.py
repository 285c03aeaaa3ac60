"""From the queue into slots, with as much of the prompt already computed as can be found."""

from __future__ import annotations

import time
from array import array
from collections import deque
from dataclasses import dataclass

from native import state
from native.llama import Context
from runner.worker.prefix.caches import PrefixCaches, PrefixLimits
from runner.worker.prefix.checkpoints import Checkpoints
from runner.worker.prefix.history import History
from runner.worker.prefix.index import common_prefix
from runner.worker.prefix.snapshot import Snapshot
from runner.worker.sequence import Sequence
from runner.worker.shifting import FORGOTTEN
from runner.worker.slots import WORTH_TOKENS, Slot, cheapest, loss


@dataclass(frozen=True, slots=True)
class _Found:
    """The first `tokens` of a prompt are in `source`."""

    tokens: int = 0
    source: Slot | Snapshot | None = None


class Admission:
    """Gives free slots to waiting sequences, first come, first served. One whose prompt is just being
    computed for another, or read from disk, lets the others pass until it is there."""

    def __init__(self, context: Context, slots: list[Slot], limits: PrefixLimits | None = None) -> None:
        self._context = context
        self._slots = slots
        self._history = History(context.model.sliding_window or None, context.model.is_recurrent)
        self._caches = PrefixCaches(context, self._history, limits or PrefixLimits())
        self._checkpoints = Checkpoints(context, self._history, self._caches.checkpoint_bytes)
        self._uses = 0
        # Copies of slots that several sequences may want in the same step.
        self._copies: dict[int, Snapshot] = {}

    def admit(self, waiting: deque[Sequence]) -> list[Sequence]:
        """Those that got a slot."""
        admitted = []
        for sequence in list(waiting):
            if all(slot.sequence for slot in self._slots):
                break
            if not sequence.is_ready:
                continue
            # The last prompt token is decoded again in any case: its logits pick the first new token.
            wanted = array("i", sequence.tokens[:-1])
            if (found := self._find(wanted)) is not None:
                waiting.remove(sequence)
                self._start(sequence, found)
                admitted.append(sequence)
        self._copies.clear()
        return admitted

    def take_checkpoints(self) -> None:
        """After a decode: keep what the sequences that are reading their prompts may come back to."""
        for slot in () if self._history.is_whole else self._slots:
            if slot.sequence is not None and slot.sequence.is_prefilling and not slot.is_apart:
                self._checkpoints.take(slot, slot.sequence)

    def release(self, slot: Slot) -> None:
        """The slot's sequence has ended; its tokens stay."""
        was_shifted = slot.sequence is not None and slot.sequence.shifted
        slot.sequence = None
        self._uses += 1
        slot.used = self._uses
        if was_shifted and FORGOTTEN in slot.cached:
            self._cut(slot, slot.cached.index(FORGOTTEN))

    def close(self) -> None:
        """Save what the next process can use."""
        self._caches.close(self._slots)

    # Where a prompt's beginning is

    def _find(self, wanted: array[int]) -> _Found | None:
        """What gives most of `wanted`, where a copy must be worth it. None if waiting gives more."""
        best, promised = _Found(), 0
        for slot in sorted(self._slots, key=lambda each: each.sequence is not None):
            tokens = self._held(slot, wanted)
            if (later := self._promised(slot, wanted)) > tokens:
                promised = max(promised, later)
            elif tokens >= best.tokens + (WORTH_TOKENS if slot.sequence else 1):
                best = _Found(tokens, slot)
        worth = best.tokens + WORTH_TOKENS
        if promised >= worth:
            return None
        is_busy = any(slot.sequence for slot in self._slots)
        if (cached := self._caches.find(wanted.tobytes(), worth, may_wait=is_busy)) is None:
            return None
        tokens, snapshot = cached
        return _Found(tokens, snapshot) if snapshot and tokens >= worth else best

    def _held(self, slot: Slot, wanted: array[int]) -> int:
        """How many of the `wanted` tokens the slot can give: by being cut, or copied if it is busy."""
        shared = common_prefix(slot.cached, wanted)
        if not shared:
            return 0
        oldest = None if slot.sequence else self._context.positions(slot.index)[0]
        checkpoints = (each.length for each in slot.checkpoints)
        return self._history.reach(len(slot.cached), shared, checkpoints, oldest)

    def _promised(self, slot: Slot, wanted: array[int]) -> int:
        """How many of the `wanted` tokens the slot can give once it has read its prompt."""
        sequence = slot.sequence
        if sequence is None or not sequence.is_prefilling:
            return 0
        prompt = array("i", sequence.tokens)
        checkpoints = [*(each.length for each in slot.checkpoints), sequence.checkpoint_at]
        return self._history.reach(len(prompt), common_prefix(prompt, wanted), checkpoints)

    # Into a slot

    def _start(self, sequence: Sequence, found: _Found) -> None:
        slot = self._slot_for(found)
        sequence.computed = sequence.cached = self._fill(slot, found)
        sequence.started_at = time.perf_counter()
        slot.sequence = sequence
        self._checkpoints.plan(slot, sequence)

    def _slot_for(self, found: _Found) -> Slot:
        """The slot that has the tokens, if nothing else in it is lost; else the cheapest one."""
        source = found.source
        if isinstance(source, Slot) and source.sequence is None and not loss(source, found.tokens):
            return source
        return cheapest(self._slots)

    def _fill(self, slot: Slot, found: _Found) -> int:
        """Put the found tokens into the slot and nothing else; returns how many it has now."""
        is_there = found.source is slot
        if loss(slot, found.tokens if is_there else 0):
            is_generating = any(each.sequence and not each.sequence.is_prefilling for each in self._slots)
            self._caches.keep(slot, is_hurried=is_generating)
        if found.source is None:
            return self._cut(slot, 0)
        if not is_there:
            snapshot = self._copy(found.source) if isinstance(found.source, Slot) else found.source
            self._caches.use(snapshot)
            slot.cached = array("i", snapshot.tokens)
            slot.checkpoints = list(snapshot.checkpoints)
            if not state.restore(self._context, slot.index, snapshot.state):
                return self._cut(slot, 0)
        return self._cut(slot, found.tokens)

    def _copy(self, slot: Slot) -> Snapshot:
        if slot.index not in self._copies:
            self._copies[slot.index] = self._caches.copy(slot)
        return self._copies[slot.index]

    def _cut(self, slot: Slot, length: int) -> int:
        """Leave the slot's first `length` tokens, or fewer if its memory cannot go back there."""
        oldest = self._context.positions(slot.index)[0]
        checkpoints = {each.length: each for each in slot.checkpoints}
        length = self._history.reach(len(slot.cached), length, checkpoints, oldest)
        if not self._history.can_rewind(len(slot.cached), length, oldest) and length:
            partial = checkpoints[length].state
            length = length if state.restore(self._context, slot.index, partial, is_partial=True) else 0
        length = length if self._context.keep_prefix(slot.index, length) else 0
        del slot.cached[length:]
        slot.checkpoints = [each for each in slot.checkpoints if each.length <= length]
        return length
