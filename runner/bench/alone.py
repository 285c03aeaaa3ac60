"""The engine alone: prefill and decode in a child of its own, without daemon, tokenizer and sampler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

from modelstore.child import Child
from runner.bench.figures import Figure, mean
from runner.bench.plan import Plan, Test
from runner.bench.progress import Report
from runner.bench.steady import warm_up
from runner.compare import variant
from runner.errors import WorkerFailed


class Engine:
    """The child. `loaded` is what it said of devices and hardware."""

    def __init__(self) -> None:
        self._child = Child("native.speed")
        self.loaded: dict[str, Any] = {}

    @classmethod
    @asynccontextmanager
    async def running(
        cls, path: str, setting: variant.Engine, *, follows_load: bool = False
    ) -> AsyncIterator[Engine]:
        """An engine that has loaded the model. Raises WorkerFailed, as do its methods."""
        engine = cls()
        order = {**asdict(setting), "path": path, "follows_load": follows_load}
        try:
            engine.loaded = await engine._ask(order)
            yield engine
        finally:
            engine._child.kill()

    async def timed(self, test: Test) -> tuple[float, list[int]]:
        """Seconds, and all numbers of threads that were used."""
        answer = await self._ask(asdict(test))
        return float(answer["seconds"]), answer["threads"]

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        answer = await asyncio.to_thread(self._child.ask, message)
        if error := answer.get("error"):
            raise WorkerFailed(f"the engine cannot be measured: {error}")
        return answer


async def measure(engine: Engine, plan: Plan, report: Report) -> list[Figure]:
    """Tokens a second of each test of the plan."""
    figures, unsteady = [], []
    for test in plan.tests:
        report.begin(test.name)
        threads: set[int] = set()

        async def repeat(test: Test = test, threads: set[int] = threads) -> float:
            taken_s, used = await engine.timed(test)
            threads.update(used)
            report.repeated(f"{test.tokens / taken_s:.1f} tok/s")
            return taken_s

        if not await warm_up(repeat):
            unsteady.append(test.name)
        threads.clear()
        samples = [test.tokens / await repeat() for _ in range(plan.repetitions)]
        figures.append(replace(mean(test.name, "tok/s", samples), threads=tuple(sorted(threads))))
    if unsteady:
        report.warn(f"not steady, speeds still vary by more than 5 %: {', '.join(unsteady)}")
    return figures
