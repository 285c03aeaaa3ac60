"""Snapshots in main memory, the least recently used of them let go first."""

from __future__ import annotations

from collections.abc import Callable

from runner.worker.prefix.history import History
from runner.worker.prefix.index import PrefixIndex
from runner.worker.prefix.snapshot import Snapshot


class RamCache:
    """At most `limit_bytes`. What has to go is handed to `on_evict`."""

    def __init__(self, limit_bytes: int, history: History, on_evict: Callable[[Snapshot], None]) -> None:
        self.limit_bytes = limit_bytes
        self._history = history
        self._on_evict = on_evict
        self._index: PrefixIndex[Snapshot] = PrefixIndex()
        # In order of use, the latest last.
        self._by_use: dict[bytes, Snapshot] = {}
        self._held_bytes = 0

    def find(self, tokens: bytes) -> tuple[int, Snapshot | None]:
        """The snapshot with the longest beginning of `tokens`, and how many of them it gives."""
        return self._index.longest(tokens, lambda each, shared: each.reach(self._history, shared))

    def covers(self, tokens: bytes) -> bool:
        return self._index.covers(tokens)

    def use(self, snapshot: Snapshot) -> None:
        if self._by_use.get(snapshot.tokens) is snapshot:
            self._by_use[snapshot.tokens] = self._by_use.pop(snapshot.tokens)

    def add(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of those it continues."""
        if snapshot.size_bytes > self.limit_bytes:
            self._on_evict(snapshot)
            return
        for shorter in self._index.beginnings(snapshot.tokens):
            self._remove(shorter)
        if snapshot.tokens in self._index:
            self._remove(self._by_use[snapshot.tokens])
        self._index.add(snapshot.tokens, snapshot)
        self._by_use[snapshot.tokens] = snapshot
        self._held_bytes += snapshot.size_bytes
        while self._held_bytes > self.limit_bytes:
            oldest = next(iter(self._by_use.values()))
            self._remove(oldest)
            self._on_evict(oldest)

    def latest_first(self) -> list[Snapshot]:
        return list(reversed(self._by_use.values()))

    def _remove(self, snapshot: Snapshot) -> None:
        self._index.remove(snapshot.tokens)
        del self._by_use[snapshot.tokens]
        self._held_bytes -= snapshot.size_bytes
