"""One benchmark from plan to result."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import psutil

from native.load import NOTICED_CORES
from runner.bench import alone, served
from runner.bench.figures import Figure
from runner.bench.neighbours import Neighbour, Watch, busiest, families
from runner.bench.plan import Plan
from runner.bench.progress import Report
from runner.bench.runs import Run
from runner.client import Client
from runner.compare import variant
from runner.errors import WrongPurpose
from runner.settings import Settings
from runner.wire import ModelDetail


class Benchmark:
    """Measures one model: the engine in a child, while the daemon rests, and then the daemon."""

    def __init__(self, client: Client, model: ModelDetail, settings: Settings, report: Report) -> None:
        self._client = client
        self._model = model
        self._settings = settings
        self._report = report

    async def run(self, plan: Plan) -> Run:
        """Raises UserError if the plan is not for this model, WorkerFailed, and what the daemon refuses."""
        if self._model.purpose != "generate":
            raise WrongPurpose(f'"{self._model.name}" does not support generate, which is what is measured')
        if limit := self._model.context_length:
            shorter = plan.within(limit)
            if shorter != plan:
                gone = ", ".join(str(depth) for depth in plan.depths if depth not in shorter.depths)
                self._report.warn(f"depth {gone} left out: the model's context is {limit} tokens")
            plan = shorter
        figures, setup = await self._alone(plan)
        if plan.clients:
            figures += await self._served(plan, setup)
        if any(figure.disturbed for figure in figures):
            self._report.warn("others took cores that were needed: what is disturbed would be faster without")
        return Run(datetime.now(UTC), setup, tuple(figures), tuple(self._report.warnings))

    async def _alone(self, plan: Plan) -> tuple[list[Figure], dict[str, str]]:
        setting = self._setting(plan)
        loaded = await self._client.loaded()
        watch = Watch()
        async with alone.Engine.running(self._model.files[0].path, setting, follows_load=True) as engine:
            figures = await alone.measure(engine, plan, self._report)
            neighbours = watch.busy(families([os.getpid()]))
        figures = self._marked(figures, setting.threads, neighbours, "the engine")
        setup = self._setup(plan, setting, engine.loaded)
        return figures, setup | {"also loaded": ", ".join(model.name for model in loaded) or "nothing"}

    async def _served(self, plan: Plan, setup: dict[str, str]) -> list[Figure]:
        watch = Watch()
        load = served.Load(self._client, self._model.name, plan)
        figures = await served.measure(load, plan, self._report)
        ours = families([os.getpid(), (await self._client.health()).pid])
        for model in await self._client.loaded():
            if model.digest != self._model.digest and model.pid:
                ours -= families([model.pid])
        threads = self._settings.compute_threads
        if answering := await load.loaded():
            threads = answering.most_threads or threads
            setup["slots"] = f"{answering.slots} of {answering.context_length} tokens"
            setup["threads of the daemon"] = str(threads)
        return self._marked(figures, threads, watch.busy(ours), "the daemon")

    def _marked(
        self, figures: list[Figure], threads: int, neighbours: list[Neighbour], measured: str
    ) -> list[Figure]:
        """Disturbed is what had fewer than these threads, and everything if there was no room for them."""
        if neighbours:
            self._report.warn(f"beside {measured} there was at work: {busiest(neighbours)}")
        processors = psutil.cpu_count() or threads
        wanted = min(threads, processors)
        is_crowded = processors - sum(each.cores for each in neighbours) < wanted - NOTICED_CORES
        return [
            replace(figure, disturbed=is_crowded or min(figure.threads, default=wanted) < wanted)
            for figure in figures
        ]

    def _setting(self, plan: Plan) -> variant.Engine:
        own = self._settings.of(self._model.name)
        return variant.Engine(
            gpu_layers=own.most_gpu_layers,
            context_length=plan.context_length,
            threads=self._settings.compute_threads,
            kv_type_k=own.kv_types.k,
            kv_type_v=own.kv_types.v,
            flash_attention=own.uses_flash_attention,
        )

    def _setup(self, plan: Plan, setting: variant.Engine, loaded: dict[str, Any]) -> dict[str, str]:
        hardware = loaded["hardware"]
        devices = [device["description"] for device in hardware["devices"]]
        return {
            "model": self._model.name,
            "digest": self._model.digest,
            "nybble": version("nybble"),
            "llama-cpp-python": hardware["llama_cpp_python"],
            "devices": ", ".join(devices),
            "instructions": " ".join(hardware["instruction_sets"]),
            "physical cores": str(hardware["physical_cores"]),
            "memory": f"{hardware['memory']['total_bytes'] / 2**30:.1f} GiB",
            "threads": str(setting.threads),
            "placement": loaded["devices"],
            "KV types": f"{setting.kv_type_k}/{setting.kv_type_v}",
            "tokens": f"{plan.prompt_tokens} prompt, {plan.generate_tokens} generated",
        }
