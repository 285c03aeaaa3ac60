"""The verbs of the daemon: the one core under all dialects."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from importlib import metadata
from typing import Self

import psutil

from modelstore.blobs import megabytes
from modelstore.errors import NybbleError
from modelstore.progress import Emit
from modelstore.store import Store
from runner import wire
from runner.claims import Claims
from runner.comparisons import Comparisons
from runner.embeddings import EmbeddingRuns
from runner.errors import WorkerFailed
from runner.generation import Generations
from runner.history import History
from runner.instance import remove_prefixes, remove_stale_prefixes
from runner.jobs import Jobs, StoreJob, store_job
from runner.listing import detail, info, loaded_model
from runner.lookup import Lookup
from runner.machine import MachineReader
from runner.makings import Makings
from runner.paths import Paths
from runner.prep.pool import Prep
from runner.report import Event
from runner.settings import Settings
from runner.supervisor import Supervisor

_log = logging.getLogger(__name__)


class Service:
    """Everything that the dialects may ask for. All methods run on the daemon's loop; what touches the disk
    runs in threads. Use as an async context manager: leaving it ends workers, jobs and children."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self.paths = paths
        self.settings = settings
        self.store = Store(paths.store)
        self.history = History(paths.history_file)
        self.shutdown_requested = asyncio.Event()
        self._machine = MachineReader()
        self._supervisor = Supervisor(settings, self._machine)
        self._prep = Prep()
        self._lookup = Lookup(self.store)
        claims = Claims(settings, self.store, self._lookup, paths.cache)
        self._generations = Generations(settings, self._lookup, claims, self._supervisor, self._prep)
        self._embedding_runs = EmbeddingRuns(self._lookup, claims, self._supervisor)
        self._jobs = Jobs()
        self.comparisons = Comparisons(paths, settings, self._jobs)
        self.makings = Makings(self.store, paths, settings, self._jobs)
        self._started_at = datetime.now(UTC)

    async def __aenter__(self) -> Self:
        self._machine.start()
        await asyncio.to_thread(remove_stale_prefixes, self.paths.cache)
        self._sweeping = asyncio.create_task(asyncio.to_thread(self._sweep))
        return self

    async def __aexit__(self, *_error: object) -> None:
        """End all requests with an error record, then workers, jobs and children."""
        await self._supervisor.close()
        await self._sweeping
        await self._jobs.close()
        await self._prep.close()
        await self._machine.close()
        self.history.close()

    def _sweep(self) -> None:
        try:
            freed = self.store.sweep()
        except NybbleError as error:
            _log.warning("the store was not looked through for weights without a tag: %s", error.message)
            return
        if freed:
            _log.info("removed %s of weights that no tag names", megabytes(freed))

    # The daemon itself

    def health(self) -> wire.Health:
        return wire.Health(
            version=metadata.version("nybble"),
            pid=os.getpid(),
            address=self.settings.address,
            store=str(self.paths.store),
            started_at=self._started_at,
            llama_cpp_python=metadata.version("llama-cpp-python"),
            memory_bytes=psutil.Process().memory_info().rss,
            drain_s=self.settings.drain_s,
        )

    def request_shutdown(self) -> None:
        """Accept no more generations, and tell the daemon to drain and end."""
        self._supervisor.scheduler.on_drain()
        self.shutdown_requested.set()

    @property
    def drained(self) -> asyncio.Event:
        """Set while no generation is running or waiting."""
        return self._supervisor.idle

    # Models

    async def models(self) -> list[wire.ModelInfo]:
        """Newest first."""
        return [info(manifest) for manifest in await asyncio.to_thread(self.store.models)]

    async def show(self, name: str) -> wire.ModelDetail:
        """Raises NotFound, Unusable."""
        manifest = await asyncio.to_thread(self.store.get, name)
        header = await self._lookup.header(manifest)
        return detail(manifest, header, self.store.blob_path(manifest.digest))

    def loaded(self) -> list[wire.LoadedModel]:
        """Models with a worker, in order of loading."""
        return [loaded_model(*row) for row in self._supervisor.loaded()]

    async def remove(self, name: str) -> wire.RemoveResult:
        """Delete a tag. A loaded model is unloaded first, since Windows deletes no file that is in use; one
        that works is unloaded when its requests are done. Raises NotFound."""
        manifest = await asyncio.to_thread(self.store.get, name)
        await self._supervisor.unloaded(manifest.digest)
        freed = await asyncio.to_thread(self.store.remove, name)
        await asyncio.to_thread(self._sweep)
        if not self.store.blob_path(manifest.digest).exists():
            await asyncio.to_thread(remove_prefixes, self.paths.cache, manifest.digest)
        return wire.RemoveResult(freed_bytes=freed)

    async def copy(self, source: str, destination: str) -> None:
        """Raises NotFound, InvalidName, Conflict."""
        await asyncio.to_thread(self.store.copy, source, destination)

    async def stop(self, name: str) -> None:
        """Unload a model once its requests are done. Raises NotFound."""
        manifest = await asyncio.to_thread(self.store.get, name)
        self._supervisor.unload(manifest.digest)

    # Jobs

    def pull(self, request: wire.PullRequest) -> StoreJob:
        settings = self.settings

        def run(emit: Emit, cancelled: threading.Event) -> wire.JobDone:
            # Brings the HTTP client, which would make the daemon start later.
            from modelstore.pull import pull
            from modelstore.sources.huggingface import HubOptions

            hub = HubOptions(settings.hf_endpoint, settings.hf_token, settings.offline)
            pulled = pull(self.store, request.name, request.alias, hub, emit, cancelled)
            return wire.JobDone(model=info(pulled))

        return store_job(self._jobs, f"pull {request.model_dump_json()}", run)

    def verify(self, name: str) -> StoreJob:
        def run(emit: Emit, cancelled: threading.Event) -> wire.JobDone:
            return wire.JobDone(model=info(self.store.verify(name, emit, cancelled)))

        return store_job(self._jobs, f"verify {name}", run)

    # Generation

    def generate(self, request: wire.GenerateRequest) -> AsyncGenerator[Event]:
        """Events of one generation; Done is the last. Closing the iterator cancels it, in every phase.

        Raises NotFound, UserError, Unusable, Overloaded, WorkerFailed.
        """
        return self._generations.run(request, uuid.uuid4().hex, time.perf_counter())

    async def count_tokens(self, request: wire.GenerateRequest) -> int:
        """Of the prompt, as `generate` would have it; nothing is computed. Raises as `generate`."""
        counting = self._generations.run(request, uuid.uuid4().hex, time.perf_counter(), only_count=True)
        async with aclosing(counting) as events:
            async for event in events:
                if isinstance(event, wire.Done):
                    return event.usage.prompt_tokens
        raise WorkerFailed("the work ended without a result")

    async def embed(self, request: wire.EmbedRequest) -> wire.Embeddings:
        """Vectors, or scores of a reranker; cancelling the call cancels the work. Raises as `generate`."""
        return await self._embedding_runs.run(request, uuid.uuid4().hex, time.perf_counter())
