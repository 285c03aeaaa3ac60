"""Comparisons as the daemon sees them: it starts the conductor, passes on what that says, and reads what was
kept. Nothing of `runner.compare` is loaded before somebody asks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, TypeVar

from modelstore.errors import NybbleError
from modelstore.store import Store
from runner.jobs import Jobs
from runner.measuring import Message, measured
from runner.paths import Paths, make_private
from runner.settings import ModelSettings, Settings

if TYPE_CHECKING:
    from runner.compare.evidence import Evidence
    from runner.wire.compare import CompareRequest, Comparison, ComparisonInfo

T = TypeVar("T")


class Comparisons:
    """One conductor for each different request; who asks for the same joins it."""

    def __init__(self, paths: Paths, settings: Settings, jobs: Jobs) -> None:
        self._paths = paths
        self._settings = settings
        self._jobs = jobs

    def run(self, request: CompareRequest) -> AsyncGenerator[Message]:
        """CompareEvents as JSON has them, up to and with "done". Raises what `measured` raises."""
        order = self._order(request)

        def conduct(emit: Callable[[Message], None], cancelled: threading.Event) -> Message:
            return measured("runner.compare", order, emit, cancelled)

        return self._jobs.follow(f"compare {request.model_dump_json()}", conduct, _kind)

    async def all(self) -> list[ComparisonInfo]:
        """Newest first."""
        return await asyncio.to_thread(self._kept, lambda evidence: evidence.comparisons())

    async def one(self, number: int) -> Comparison:
        """Raises ComparisonNotFound."""
        return await asyncio.to_thread(self._kept, lambda evidence: evidence.comparison(number))

    def _kept(self, read: Callable[[Evidence], T]) -> T:
        from runner.compare.evidence import Evidence

        with closing(Evidence(self._paths.evidence_file)) as evidence:
            return read(evidence)

    def _order(self, request: CompareRequest) -> Message:
        make_private(self._paths.evidence_file.parent)
        return {
            "request": request.model_dump(mode="json"),
            "store": str(self._paths.store),
            "evidence": str(self._paths.evidence_file),
            "cache": str(self._paths.cache),
            "daemon": self._settings.address,
            "settings": _settings(self._settings, self._settings.of(self._full_name(request.name))),
        }

    def _full_name(self, name: str) -> str:
        """What settings know a local model by; of what is none the conductor says so."""
        with suppress(NybbleError):
            return Store(self._paths.store).get(name).name
        return name


def _settings(daemon: Settings, model: ModelSettings) -> Message:
    """What of the settings decides how a model is run, and how a hub is asked."""
    return {
        "threads": daemon.compute_threads,
        "memory_budget_bytes": daemon.memory_budget_bytes,
        "gpu_layers": model.gpu_layers,
        "kv_type_k": model.kv_types.k,
        "kv_type_v": model.kv_types.v,
        "flash_attention": model.uses_flash_attention,
        "hf_endpoint": daemon.hf_endpoint,
        "hf_token": daemon.hf_token,
        "offline": daemon.offline,
    }


def _kind(event: Message) -> str:
    """Of each kind, who joins gets the last event: the plan, how far it is, and every variant."""
    kind: str = event["type"]
    return f"variant {event['variant']['name']}" if kind == "variant" else kind
