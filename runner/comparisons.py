"""Comparisons as the daemon sees them: it starts the conductor, passes on what that says, and reads what was
kept. Nothing of `runner.compare` is loaded before somebody asks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from modelstore.child import running
from modelstore.progress import check
from runner.errors import RemoteError, WorkerFailed
from runner.jobs import Jobs
from runner.paths import Paths, make_private
from runner.settings import ModelSettings, Settings

if TYPE_CHECKING:
    from runner.compare.evidence import Evidence
    from runner.wire.compare import CompareRequest, Comparison, ComparisonInfo

# What the conductor may take to remove its files once it is to stop.
_GRACE_S = 5.0

Event = dict[str, Any]
"""A CompareEvent as JSON has it: the daemon looks at its type only."""


class Comparisons:
    """One conductor for each different request; who asks for the same joins it."""

    def __init__(self, paths: Paths, settings: Settings, jobs: Jobs) -> None:
        self._paths = paths
        self._settings = settings
        self._jobs = jobs

    async def run(self, request: CompareRequest) -> AsyncGenerator[Event]:
        """Events up to and with "done". Raises what the conductor reports, and WorkerFailed if it dies."""
        order = self._order(request)

        def conduct(emit: Callable[[Event], None], cancelled: threading.Event) -> Event:
            return _conduct(order, emit, cancelled)

        key = f"compare {request.model_dump_json()}"
        async with aclosing(self._jobs.follow(key, conduct, _kind)) as events:
            async for event in events:
                yield event

    async def all(self) -> list[ComparisonInfo]:
        """Newest first."""
        return await asyncio.to_thread(lambda: self._evidence().comparisons())

    async def one(self, number: int) -> Comparison:
        """Raises ComparisonNotFound."""
        return await asyncio.to_thread(lambda: self._evidence().comparison(number))

    def _evidence(self) -> Evidence:
        from runner.compare.evidence import Evidence

        return Evidence(self._paths.evidence_file)

    def _order(self, request: CompareRequest) -> Event:
        make_private(self._paths.evidence_file.parent)
        settings = self._settings.of(request.name)
        return {
            "request": request.model_dump(mode="json"),
            "store": str(self._paths.store),
            "evidence": str(self._paths.evidence_file),
            "cache": str(self._paths.cache),
            "daemon": self._settings.address,
            "settings": _settings(self._settings, settings),
        }


def _settings(daemon: Settings, model: ModelSettings) -> Event:
    """What of the settings decides how a model is run, and how a hub is asked."""
    return {
        "threads": daemon.threads,
        "memory_budget_bytes": daemon.memory_budget_bytes,
        "gpu_layers": model.gpu_layers,
        "kv_type_k": model.kv_type_k or model.kv_type,
        "kv_type_v": model.kv_type_v or model.kv_type,
        "flash_attention": {"auto": None, "on": True, "off": False}[model.flash_attention],
        "hf_endpoint": daemon.hf_endpoint,
        "hf_token": daemon.hf_token,
        "offline": daemon.offline,
    }


def _conduct(order: Event, emit: Callable[[Event], None], cancelled: threading.Event) -> Event:
    # The conductor fetches models, too: it needs the proxies and certificates of the daemon's environment.
    with running("runner.compare", cancelled, dict(os.environ), _GRACE_S) as conductor:
        conductor.send(order)
        for event in conductor.messages():
            if event["type"] == "done":
                return event
            if event["type"] == "error":
                error = event["error"]
                raise RemoteError(
                    error["message"], hint=error.get("hint"), code=error["code"], status=error["status"]
                )
            emit(event)
        check(cancelled)
        raise WorkerFailed(f"the comparison ended without a result: {conductor.last_words()}")


def _kind(event: Event) -> str:
    """Of each kind, who joins gets the last event: the plan, how far it is, and every variant."""
    kind: str = event["type"]
    return f"variant {event['variant']['name']}" if kind == "variant" else kind
