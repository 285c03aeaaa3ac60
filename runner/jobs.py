"""Long work in threads (pull, verify, quantize): one job per key, any number of followers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable

from modelstore.manifests import Manifest
from modelstore.progress import Emit, Progress

Run = Callable[[Emit, threading.Event], Manifest]


class Jobs:
    """Runs each key once at a time: who asks for a running one joins it."""

    def __init__(self) -> None:
        self._running: dict[str, _Job] = {}

    async def follow(self, key: str, run: Run) -> AsyncGenerator[Progress | Manifest]:
        """Progress, then the result; raises what the job raises. When its last follower leaves, the job is
        cancelled (it keeps what it can resume from)."""
        job = self._running.get(key)
        while job is not None and job.cancelled.is_set():
            await asyncio.wait([job.task])
            job = self._running.get(key)
        if job is None:
            job = self._running[key] = _Job(run)
            job.task.add_done_callback(lambda task: self._ended(key, task))
        updates = job.join()
        try:
            while (progress := await updates.get()) is not None:
                yield progress
            yield await job.task
        finally:
            job.leave(updates)

    def _ended(self, key: str, task: asyncio.Task[Manifest]) -> None:
        del self._running[key]
        if not task.cancelled():
            # After its last follower left there is nobody to raise to, and asyncio complains of it unread.
            task.exception()

    async def close(self) -> None:
        """Cancel all jobs and wait until they have stopped."""
        jobs = list(self._running.values())
        for job in jobs:
            job.cancelled.set()
        await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)


class _Job:
    """One run. `None` in a follower's queue means that the task has ended."""

    def __init__(self, run: Run) -> None:
        self.cancelled = threading.Event()
        self._followers: list[asyncio.Queue[Progress | None]] = []
        self._last: Progress | None = None
        self._loop = asyncio.get_running_loop()
        self.task = asyncio.create_task(self._run(run))

    def join(self) -> asyncio.Queue[Progress | None]:
        updates: asyncio.Queue[Progress | None] = asyncio.Queue()
        if self._last is not None:
            updates.put_nowait(self._last)
        if self.task.done():
            updates.put_nowait(None)
        self._followers.append(updates)
        return updates

    def leave(self, updates: asyncio.Queue[Progress | None]) -> None:
        self._followers.remove(updates)
        if not self._followers:
            self.cancelled.set()

    async def _run(self, run: Run) -> Manifest:
        def emit(progress: Progress) -> None:
            self._loop.call_soon_threadsafe(self._publish, progress)

        try:
            return await asyncio.to_thread(run, emit, self.cancelled)
        finally:
            self._publish(None)

    def _publish(self, progress: Progress | None) -> None:
        self._last = progress or self._last
        for updates in self._followers:
            updates.put_nowait(progress)
