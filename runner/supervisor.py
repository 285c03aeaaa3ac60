"""Carries out what the scheduler decides: the one owner of the worker processes.

All methods run on the daemon's loop, so that scheduler and processes never see each other half done.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from modelstore.errors import NybbleError
from runner import wire
from runner.claims import Target, load_command
from runner.effects import AnnounceReload, Effect, Enqueued, Reject, Start, StartLoad, Unload
from runner.errors import Overloaded, WorkerFailed
from runner.instance import digest_of
from runner.loaded import Loaded, Phase, Request
from runner.machine import MachineReader
from runner.placement import Placement
from runner.process import Worker
from runner.scheduler import Scheduler
from runner.settings import Settings

_log = logging.getLogger(__name__)

Waiting = wire.Queued | wire.Reloading | wire.Loading
"""What a request can be told before its worker is ready."""

_Update = Waiting | Worker | NybbleError


@dataclass(slots=True)
class Lease:
    """One request's claim on a worker. `worker` is set once `until_ready` ends."""

    request: Request
    target: Target
    worker: Worker | None = None
    updates: asyncio.Queue[_Update] = field(default_factory=asyncio.Queue)

    async def until_ready(self) -> AsyncIterator[Waiting]:
        """What is being waited for, if anything. Raises what stands in the way."""
        while self.worker is None:
            update = await self.updates.get()
            if isinstance(update, NybbleError):
                raise update
            if isinstance(update, Worker):
                self.worker = update
            else:
                yield update


class Supervisor:
    """Starts, watches and ends workers, and hands them to requests."""

    def __init__(self, settings: Settings, machine: MachineReader) -> None:
        self.scheduler = Scheduler(settings.max_queue, settings.memory_budget_bytes, machine.read)
        self._settings = settings
        self._machine = machine
        self._leases: dict[str, Lease] = {}
        self._targets: dict[str, Target] = {}
        self._workers: dict[str, Worker] = {}
        self._loads: dict[str, asyncio.Task[Worker]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.idle = asyncio.Event()
        self.idle.set()

    @asynccontextmanager
    async def lease(self, request: Request, target: Target) -> AsyncIterator[Lease]:
        """A claim on the model's worker for the length of the block, or until it is released."""
        await self._machine.ready()
        lease = Lease(request, target)
        self._leases[request.request_id] = lease
        self._targets[request.key] = target
        self.idle.clear()
        try:
            self._apply(self.scheduler.on_request(request, time.monotonic()))
            yield lease
        finally:
            self.release(lease)

    def release(self, lease: Lease) -> None:
        """The worker has done its part, although its client may still have to read of it."""
        request_id = lease.request.request_id
        if self._leases.pop(request_id, None) is None:
            return
        if not self._leases:
            self.idle.set()
        answered = lease.worker is not None and lease.worker.has_answered
        self._apply(self.scheduler.on_done(request_id, time.monotonic(), answered=answered))

    def unload(self, digest: str) -> None:
        """Unload all instances of the weights once their requests are done."""
        self._apply(self.scheduler.on_unload(digest, time.monotonic()))

    async def unloaded(self, digest: str) -> None:
        """`unload`, and wait for those that end now: instances that work go when they are done."""
        self.unload(digest)
        ending = [
            self._workers[key].exited.wait()
            for key, model in self.scheduler.models.items()
            if digest_of(key) == digest and model.phase is Phase.UNLOADING and key in self._workers
        ]
        await asyncio.gather(*ending)

    def loaded(self) -> Iterable[tuple[Loaded, Target, Worker | None]]:
        for key, model in self.scheduler.models.items():
            yield model, self._targets[key], self._workers.get(key)

    def is_ready(self, key: str) -> bool:
        return key in self._workers

    async def close(self) -> None:
        """End all requests with an error record, and all workers, also those that still load."""
        error = Overloaded("nybble is shutting down")
        self._apply(self.scheduler.on_close(error))
        for worker in self._workers.values():
            worker.fail_all(error)
        for load in self._loads.values():
            load.cancel()
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))
        if self._timer:
            self._timer.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Effects

    def _apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, StartLoad):
                self._start(effect.key, effect.placement)
            elif isinstance(effect, Unload):
                _log.info("unloading %s: %s", self._targets[effect.key].title, effect.reason)
                self._unload(effect.key)
            elif isinstance(effect, Start):
                self._tell(effect.request_id, self._workers[effect.key])
            elif isinstance(effect, Reject):
                self._tell(effect.request_id, effect.error)
            elif isinstance(effect, Enqueued):
                self._tell(effect.request_id, wire.Queued(position=effect.position))
            elif isinstance(effect, AnnounceReload):
                _log.info("loading %s again: %s", self._leases[effect.request_id].target.title, effect.reason)
                self._tell(effect.request_id, wire.Reloading(reason=effect.reason))
        self._set_timer()

    def _tell(self, request_id: str, update: _Update) -> None:
        if lease := self._leases.get(request_id):
            lease.updates.put_nowait(update)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, key: str, placement: Placement) -> None:
        target = self._targets[key]
        _log.info("loading %s: %s", target.title, placement.reason)
        self._progress(key, 0.0)
        command = load_command(target, placement, self._settings, self._machine.read().ram_total_bytes)
        start = Worker.start(target.name, command, lambda fraction: self._progress(key, fraction))
        task = self._loads[key] = asyncio.create_task(start)
        task.add_done_callback(lambda _task: self._started(key, task))

    def _started(self, key: str, load: asyncio.Task[Worker]) -> None:
        """A load ended: with a worker, with an error, or cancelled because nobody wants it any more."""
        del self._loads[key]
        name, now_s = self._targets[key].name, time.monotonic()
        if load.cancelled():
            self._apply(self.scheduler.on_exited(key, now_s))
        elif error := load.exception():
            if not isinstance(error, NybbleError):
                error = WorkerFailed(f"cannot start {name}: {error}")
            _log.error("loading %s failed: %s", name, error.message)
            self._apply(self.scheduler.on_load_failed(key, error, now_s))
        else:
            worker = self._workers[key] = load.result()
            _log.info("%s is ready: %s", self._targets[key].title, worker.description)
            self._spawn(self._watch(key, worker))
            self._apply(self.scheduler.on_loaded(key, worker.memory_bytes, worker.ready.load_s, now_s))

    async def _watch(self, key: str, worker: Worker) -> None:
        await worker.exited.wait()
        if death := worker.death:
            _log.error("%s[%d] has ended: %s", worker.name, worker.pid, death.message)
        else:
            _log.info("%s[%d] has ended", worker.name, worker.pid)
        del self._workers[key]
        self._apply(self.scheduler.on_exited(key, time.monotonic(), death))

    def _progress(self, key: str, fraction: float) -> None:
        for lease in self._leases.values():
            if lease.request.key == key:
                lease.updates.put_nowait(wire.Loading(fraction=fraction))

    def _unload(self, key: str) -> None:
        if worker := self._workers.get(key):
            self._spawn(worker.stop())
        elif load := self._loads.get(key):
            load.cancel()

    def _set_timer(self) -> None:
        """Wake the scheduler when the next idle model expires."""
        if self._timer:
            self._timer.cancel()
        expiries = (model.expires_at_s() for model in self.scheduler.models.values())
        next_s = min((at for at in expiries if at is not None), default=None)
        if next_s is None:
            self._timer = None
            return
        delay_s = max(0.0, next_s - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._apply(self.scheduler.on_tick(time.monotonic()))
