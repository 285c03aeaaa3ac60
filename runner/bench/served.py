"""The daemon as its clients see it: waiting, stutter and throughput over HTTP."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from itertools import pairwise

from runner import wire
from runner.bench.figures import Figure, mean, pooled
from runner.bench.plan import Plan
from runner.bench.progress import Report
from runner.bench.steady import warm_up
from runner.client import Client

# Short common words: about one token each in most vocabularies.
# fmt: off
_WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school",
          "state", "family", "student", "group", "country", "hand", "part", "place", "case", "week",
          "system", "question", "work", "night", "point", "home", "water", "room", "house")
# fmt: on


@dataclass(frozen=True, slots=True)
class Trace:
    """One request as its client saw it; readings of `time.perf_counter`. `pieces` are when text came and how
    many tokens there were then, `timings` what the daemon says."""

    started_s: float
    ended_s: float
    pieces: tuple[tuple[float, int], ...]
    usage: wire.Usage
    timings: wire.Timings

    @property
    def ttft_ms(self) -> float:
        return (next((came_s for came_s, _ in self.pieces), self.ended_s) - self.started_s) * 1000

    @property
    def gaps_ms(self) -> list[float]:
        """For each token of a piece its part of the time since the piece before."""
        gaps_ms: list[float] = []
        for (before_s, before), (now_s, tokens) in pairwise(self.pieces):
            count = max(1, tokens - before)
            gaps_ms += [(now_s - before_s) * 1000 / count] * count
        return gaps_ms


class Load:
    """Requests for one model: random words, so that no prompt begins like another, and a fixed length."""

    def __init__(self, client: Client, model: str, plan: Plan) -> None:
        self._client = client
        self._model = model
        self._plan = plan
        self._random = random.Random()
        self._words = plan.prompt_tokens

    async def calibrate(self) -> Trace:
        """Load the model, and find how many words make a prompt of the wanted length. The request of this."""
        trace = await self.request()
        self._words = max(1, round(self._words * self._plan.prompt_tokens / trace.usage.prompt_tokens))
        return trace

    async def round(self, clients: int) -> list[Trace]:
        """One request of each client, all at once."""
        return list(await asyncio.gather(*(self.request() for _ in range(clients))))

    async def loaded(self) -> wire.LoadedModel | None:
        """What answered, unless it has been unloaded meanwhile."""
        mine = [each for each in await self._client.loaded() if each.name == self._model]
        return next((each for each in mine if "embedding" not in (each.variant or "")), None)

    async def request(self) -> Trace:
        request = wire.GenerateRequest(
            model=self._model,
            prompt=" ".join(self._random.choices(_WORDS, k=self._words)),
            raw=True,
            options=wire.Options(max_tokens=self._plan.generate_tokens, ignore_eos=True),
            # How well text can be guessed is not what is measured.
            speculation=False,
        )
        pieces, usage, timings = [], wire.Usage(), wire.Timings()
        started_s = time.perf_counter()
        async for event in self._client.generate(request):
            if isinstance(event, wire.TextDelta):
                pieces.append((time.perf_counter(), event.completion_tokens))
            elif isinstance(event, wire.Done):
                usage, timings = event.usage, event.timings
        return Trace(started_s, time.perf_counter(), tuple(pieces), usage, timings)


async def measure(load: Load, plan: Plan, report: Report) -> list[Figure]:
    """Of each number of clients: time to first token, inter-token latency, and tokens a second of all."""

    async def alone() -> float:
        (trace,) = await load.round(1)
        report.repeated(f"first token after {trace.ttft_ms:.0f} ms")
        return trace.ended_s - trace.started_s

    report.begin("served: warm-up")
    await load.calibrate()
    if not await warm_up(alone):
        report.warn("the daemon's answers did not get steady: they still vary by more than 5 %")
    rounds: dict[int, list[list[Trace]]] = {clients: [] for clients in plan.clients}
    threads: dict[int, set[int]] = {clients: set() for clients in plan.clients}
    for number in range(1, plan.repetitions + 1):
        report.begin(f"served: round {number} of {plan.repetitions}")
        for clients, traces in rounds.items():
            traces.append(await load.round(clients))
            if (loaded := await load.loaded()) and loaded.threads:
                threads[clients].add(loaded.threads)
            report.repeated(f"{_clients(clients)}, {_throughput(traces[-1]):.1f} tok/s")
    return [
        replace(figure, threads=tuple(sorted(threads[clients])))
        for clients, traces in rounds.items()
        for figure in _figures(clients, traces)
    ]


def _figures(clients: int, rounds: list[list[Trace]]) -> list[Figure]:
    ttfts = [[trace.ttft_ms for trace in traces] for traces in rounds]
    gaps = [[gap for trace in traces for gap in trace.gaps_ms] for traces in rounds]
    of = _clients(clients)
    return [
        pooled(f"TTFT p50, {of}", "ms", ttfts, 50),
        pooled(f"TTFT p99, {of}", "ms", ttfts, 99),
        pooled(f"ITL p50, {of}", "ms", gaps, 50),
        pooled(f"ITL p99, {of}", "ms", gaps, 99),
        mean(f"throughput, {of}", "tok/s", [_throughput(traces) for traces in rounds]),
    ]


def _throughput(traces: list[Trace]) -> float:
    """Generated tokens of all, over the time from the first request to the last token."""
    tokens = sum(trace.usage.completion_tokens for trace in traces)
    return tokens / (max(trace.ended_s for trace in traces) - min(trace.started_s for trace in traces))


def _clients(count: int) -> str:
    return "1 client" if count == 1 else f"{count} clients"
