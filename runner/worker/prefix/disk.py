"""Snapshots on disk, for after this process: written and read by threads, never by a step.

Only the thread of the engine knows which files there are; jobs tell it by their results.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runner.worker.prefix import files
from runner.worker.prefix.files import DamagedFile, Head
from runner.worker.prefix.history import History
from runner.worker.prefix.index import TOKEN_BYTES, PrefixIndex
from runner.worker.prefix.snapshot import Snapshot

# Less is computed again faster than a user can start a daemon.
_LEAST_TOKENS = 256
# Writes that are slower than evictions must not pile up what memory had no room for.
_MOST_PENDING_WRITES = 2
_ABANDONED_S = 600.0


@dataclass(frozen=True, slots=True)
class _Written:
    """What a job did to the folder: `head` is None if it could not write."""

    head: Head | None
    removed: list[Path]


class DiskCache:
    """The files of one layout in `folder`, which with those of other layouts takes at most `limit_bytes`.

    Those of its second layout are read, too: their states are `turn`ed, which raises ValueError.
    """

    def __init__(
        self,
        folder: Path,
        limit_bytes: int,
        layouts: Sequence[str],
        history: History,
        longest_tokens: int,
        turn: Callable[[bytearray], bytearray],
    ) -> None:
        """`longest_tokens` is what a slot can take: longer ones are left to loads with a larger context."""
        self.limit_bytes = limit_bytes
        self._longest_bytes = longest_tokens * TOKEN_BYTES
        self._folder = folder
        self._layouts = [hashlib.blake2b(each.encode(), digest_size=16).digest() for each in layouts]
        self._turn = turn
        self._history = history
        self._index: PrefixIndex[Head] = PrefixIndex()
        self._tokens: dict[Path, bytes] = {}
        self._threads = ThreadPoolExecutor(2, "prefix")
        self._writes: dict[bytes, Future[_Written]] = {}
        self._reads: dict[bytes, Future[Snapshot | None]] = {}
        with suppress(OSError):  # without a folder nothing is found, and every write fails
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._trim()
        self._scan()

    def find(self, tokens: bytes) -> tuple[int, Head | None]:
        """The file with the longest beginning of `tokens`, and how many of them it gives."""
        return self._index.longest(tokens, lambda each, shared: each.reach(self._history, shared))

    def is_wanted(self, tokens: bytes) -> bool:
        """Whether a snapshot of `tokens` would be worth a file."""
        is_new = not self._index.covers(tokens) and tokens not in self._writes
        return is_new and len(tokens) >= _LEAST_TOKENS * TOKEN_BYTES

    def start_reading(self, head: Head) -> Future[Snapshot | None]:
        """Read a file, once however often it is asked for; None if it is damaged or gone. `take_read` has the
        result."""
        if head.tokens not in self._reads:
            self._reads[head.tokens] = self._threads.submit(self._read, head)
        return self._reads[head.tokens]

    def take_read(self) -> list[Snapshot]:
        """What has been read since the last time."""
        for tokens in [tokens for tokens, write in self._writes.items() if write.done()]:
            self._note(self._writes.pop(tokens).result())
        snapshots = []
        for tokens in [tokens for tokens, read in self._reads.items() if read.done()]:
            snapshot = self._reads.pop(tokens).result()
            if snapshot is None:
                self._index.remove(tokens)
            else:
                snapshots.append(snapshot)
        return snapshots

    def start_writing(self, snapshot: Snapshot) -> None:
        if self.is_wanted(snapshot.tokens) and len(self._writes) < _MOST_PENDING_WRITES:
            superseded = self._superseded(snapshot)
            self._writes[snapshot.tokens] = self._threads.submit(self._write, snapshot, superseded)

    def close(self, snapshots: Iterable[Snapshot], deadline_s: float) -> None:
        """Write what is not there yet, as far as there is time; `deadline_s` is a reading of `monotonic`."""
        for snapshot in snapshots:
            if time.monotonic() >= deadline_s:
                break
            if self.is_wanted(snapshot.tokens):
                self._note(self._write(snapshot, self._superseded(snapshot)))
        futures.wait(self._writes.values(), max(0.0, deadline_s - time.monotonic()))
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _superseded(self, snapshot: Snapshot) -> list[Path]:
        return [head.path for head in self._index.beginnings(snapshot.tokens)]

    def _note(self, written: _Written) -> None:
        for path in written.removed:
            if tokens := self._tokens.pop(path, None):
                self._index.remove(tokens)
        if written.head:
            self._know(written.head)

    def _know(self, head: Head) -> None:
        if len(head.tokens) <= self._longest_bytes:
            self._index.add(head.tokens, head)
        self._tokens[head.path] = head.tokens

    # Files

    def _read(self, head: Head) -> Snapshot | None:
        try:
            snapshot = files.read(head.path, head.layout)
            os.utime(head.path)
            return snapshot if head.layout == self._layouts[0] else snapshot.with_states(self._turn)
        except (DamagedFile, ValueError) as error:
            _discard(head.path, error)
        except OSError:
            pass
        return None

    def _scan(self) -> None:
        for path in self._folder.glob("*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()
        # Its own last: where there are both, these are read.
        for layout in reversed(self._layouts):
            for path in self._folder.glob(f"{_prefix(layout)}-*.kv"):
                try:
                    self._know(files.read_head(path, layout))
                except DamagedFile as error:
                    _discard(path, error)
                except OSError:
                    continue

    def _write(self, snapshot: Snapshot, superseded: list[Path]) -> _Written:
        name, layout = hashlib.blake2b(snapshot.tokens, digest_size=16).hexdigest(), self._layouts[0]
        try:
            head = files.write(self._folder / f"{_prefix(layout)}-{name}.kv", snapshot, layout)
            for path in superseded:
                path.unlink(missing_ok=True)
            return _Written(head, superseded + self._trim())
        except OSError as error:
            sys.stderr.write(f"prefix cache: cannot write {self._folder}: {error}\n")
            return _Written(None, [])

    def _trim(self) -> list[Path]:
        """Remove the least recently used files until the folder fits its limit."""
        found = [(entry.stat(), Path(entry.path)) for entry in os.scandir(self._folder)]
        excess = sum(stat.st_size for stat, _ in found) - self.limit_bytes
        removed = []
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime_ns):
            if excess <= 0:
                break
            with suppress(OSError):
                path.unlink()
                excess -= stat.st_size
                removed.append(path)
        return removed


def _prefix(layout: bytes) -> str:
    return layout.hex()[:8]


def _discard(path: Path, error: Exception) -> None:
    sys.stderr.write(f"prefix cache: removing {error}\n")
    with suppress(OSError):
        path.unlink()
