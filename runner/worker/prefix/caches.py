"""What is kept of sequences that lost their slot: in memory, and behind it on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from native import state
from native.llama import Context
from runner.worker.prefix.disk import DiskCache
from runner.worker.prefix.history import History
from runner.worker.prefix.ram import RamCache
from runner.worker.prefix.snapshot import Snapshot
from runner.worker.slots import WORTH_TOKENS, Slot

_FIRST_GUESS_BYTES_PER_S = 1e9
_CLOSE_S = 1.2
"""The daemon gives a worker 2 s to end."""


@dataclass(frozen=True, slots=True)
class PrefixLimits:
    """What the caches may take; 0 bytes is off. What is read from disk goes through memory: it needs both.
    `disk_path` is a folder, which other loads of the model share, and the name of what only equal loads have
    in common.

    While somebody generates, a copy may take `longest_save_s`: beyond, what a slot loses is lost.
    """

    ram_bytes: int = 0
    disk_path: str | None = None
    disk_bytes: int = 0
    longest_save_s: float = 0.1


class PrefixCaches:
    """Saves what slots lose, and finds what they can use."""

    def __init__(self, context: Context, history: History, limits: PrefixLimits) -> None:
        self._context = context
        self._disk: DiskCache | None = None
        if limits.ram_bytes and limits.disk_path and limits.disk_bytes:
            path = Path(limits.disk_path)
            self._disk = DiskCache(
                path.parent,
                limits.disk_bytes,
                [f"{path.name}: {each}" for each in state.layouts(context)],
                history,
                context.sequence_context_length,
                lambda each: state.turned(context, each),
            )
        # Where there are checkpoints, the slots' take their half.
        ram_bytes = limits.ram_bytes if history.is_whole else limits.ram_bytes // 2
        self.checkpoint_bytes = (limits.ram_bytes - ram_bytes) // context.options.sequences
        self._ram = RamCache(ram_bytes, history, self._evicted)
        self._longest_save_s = limits.longest_save_s
        self._bytes_per_s = _FIRST_GUESS_BYTES_PER_S

    def find(self, tokens: bytes, at_least: int, *, may_wait: bool) -> tuple[int, Snapshot | None] | None:
        """The snapshot with the longest beginning of `tokens`, and how many of them it gives.

        None if a file that gives more is being read: ask again after the next step. Without `may_wait` the
        read is waited for. Nothing is read for fewer than `at_least` tokens.
        """
        for read in self._disk.take_read() if self._disk else ():
            self._ram.add(read)
        reached, snapshot = self._ram.find(tokens)
        if self._disk:
            on_disk, head = self._disk.find(tokens)
            fits = head is not None and head.size_bytes <= self._ram.limit_bytes
            if head and fits and on_disk >= max(at_least, reached + WORTH_TOKENS):
                reading = self._disk.start_reading(head)
                if may_wait and not reading.done():
                    return None
                reading.result()
                return self.find(tokens, at_least, may_wait=may_wait)
        return reached, snapshot

    def use(self, snapshot: Snapshot) -> None:
        self._ram.use(snapshot)

    def keep(self, slot: Slot, *, is_hurried: bool) -> None:
        """Save what is in a slot, unless it is known or, where others must not notice, takes too long."""
        tokens = slot.cached.tobytes()
        if not self._ram.limit_bytes or self._ram.covers(tokens):
            return
        if is_hurried and state.size(self._context, slot.index) > self._longest_save_s * self._bytes_per_s:
            return
        self._ram.add(self.copy(slot))

    def close(self, slots: list[Slot]) -> None:
        """Write to disk what the slots and the memory hold, the latest first, as far as there is time."""
        if self._disk:
            self._disk.close(self._to_write(self._disk, slots), time.monotonic() + _CLOSE_S)

    def _to_write(self, disk: DiskCache, slots: list[Slot]) -> Iterator[Snapshot]:
        for slot in sorted(slots, key=lambda each: -each.used):
            if disk.is_wanted(slot.cached.tobytes()):
                yield self.copy(slot)
        yield from self._ram.latest_first()

    def copy(self, slot: Slot) -> Snapshot:
        """What is in a slot. The time it takes tells how much may be copied while others wait."""
        started = time.perf_counter()
        copy = state.save(self._context, slot.index)
        seconds = max(1e-6, time.perf_counter() - started)
        self._bytes_per_s = (self._bytes_per_s + len(copy) / seconds) / 2
        return Snapshot(slot.cached.tobytes(), copy, tuple(slot.checkpoints))

    def _evicted(self, snapshot: Snapshot) -> None:
        if self._disk:
            self._disk.start_writing(snapshot)
