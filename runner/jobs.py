"""Long work in threads (pull, verify, quantize, compare): one job per key, any number of followers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Generic, TypeVar

from modelstore.progress import Progress
from runner import wire
from runner.errors import Overloaded

_Update = TypeVar("_Update")
_Result = TypeVar("_Result")

Run = Callable[[Callable[[_Update], None], threading.Event], _Result]
"""Work: it reports updates through the first argument, and ends early once the second is set."""

StoreJob = AsyncGenerator[wire.JobProgress | wire.JobDone]


class Jobs:
    """Runs each key once at a time: who asks for a running one joins it."""

    def __init__(self) -> None:
        self._running: dict[str, _Job[Any, Any]] = {}
        self._is_closed = False

    async def follow(
        self, key: str, run: Run[_Update, _Result], kind: Callable[[_Update], str] = lambda _: ""
    ) -> AsyncGenerator[_Update | _Result]:
        """Updates, then the result; raises what the job raises. Who joins later first gets the last update
        of each `kind`. When its last follower leaves, the job is cancelled (it keeps what it can resume
        from)."""
        job = self._running.get(key)
        while job is not None and job.cancelled.is_set():
            await asyncio.wait([job.task])
            job = self._running.get(key)
        if self._is_closed:
            raise Overloaded("nybble is shutting down")
        if job is None:
            job = self._running[key] = _Job(run, kind)
            job.task.add_done_callback(lambda task: self._ended(key, task))
        updates = job.join()
        try:
            while (update := await updates.get()) is not None:
                yield update
            yield await job.task
        finally:
            job.leave(updates)

    def _ended(self, key: str, task: asyncio.Task[Any]) -> None:
        del self._running[key]
        if not task.cancelled():
            # After its last follower left there is nobody to raise to, and asyncio complains of it unread.
            task.exception()

    async def close(self) -> None:
        """Cancel all jobs and wait until they have stopped. Later ones are refused."""
        self._is_closed = True
        jobs = list(self._running.values())
        for job in jobs:
            job.cancelled.set()
        await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)


class _Job(Generic[_Update, _Result]):
    """One run. `None` in a follower's queue means that the task has ended."""

    def __init__(self, run: Run[_Update, _Result], kind: Callable[[_Update], str]) -> None:
        self.cancelled = threading.Event()
        self._kind = kind
        self._followers: list[asyncio.Queue[_Update | None]] = []
        self._last: dict[str, _Update] = {}
        self._loop = asyncio.get_running_loop()
        self.task = asyncio.create_task(self._run(run))

    def join(self) -> asyncio.Queue[_Update | None]:
        updates: asyncio.Queue[_Update | None] = asyncio.Queue()
        for update in self._last.values():
            updates.put_nowait(update)
        if self.task.done():
            updates.put_nowait(None)
        self._followers.append(updates)
        return updates

    def leave(self, updates: asyncio.Queue[_Update | None]) -> None:
        self._followers.remove(updates)
        if not self._followers:
            self.cancelled.set()

    async def _run(self, run: Run[_Update, _Result]) -> _Result:
        def emit(update: _Update) -> None:
            self._loop.call_soon_threadsafe(self._publish, update)

        try:
            return await asyncio.to_thread(run, emit, self.cancelled)
        finally:
            self._tell(None)

    def _publish(self, update: _Update) -> None:
        self._last[self._kind(update)] = update
        self._tell(update)

    def _tell(self, update: _Update | None) -> None:
        for updates in self._followers:
            updates.put_nowait(update)


async def store_job(jobs: Jobs, key: str, run: Run[Progress, wire.JobDone]) -> StoreJob:
    """Work on the store: as `Jobs.follow`, in the words of the API."""
    async with aclosing(jobs.follow(key, run)) as updates:
        async for update in updates:
            yield wire.JobProgress(**asdict(update)) if isinstance(update, Progress) else update
