"""Time to the first token, through the daemon as its clients see it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from threading import Event

from modelstore import progress
from modelstore.errors import NybbleError
from runner.bench.plan import Plan
from runner.bench.served import Load, Trace
from runner.client import Client
from runner.compare import spread
from runner.compare.rounds import why_not_cold
from runner.compare.speed_plan import SpeedPlan
from runner.compare.variant import Variant
from runner.wire.compare import Estimate

_IN_USE = "the model is loaded already, and unloading it would disturb whoever uses it"
# A second token shows that the first was none that only the end made visible.
_TOKENS = 2
_UNLOAD_POLL_S = 0.05
_UNLOAD_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class FirstToken:
    """In seconds: inside the daemon, over HTTP, and over HTTP with the model neither loaded nor cached."""

    server: Estimate
    client: Estimate
    cold: Estimate

    @classmethod
    def unknown(cls, reason: str) -> FirstToken:
        return cls(*(Estimate(reason=reason) for _ in range(3)))


def measure_first_token(
    variant: Variant, plan: SpeedPlan, is_settings_variant: bool, cancelled: Event
) -> FirstToken:
    """`is_settings_variant`: the same file is compared with other settings, and the daemon has its own.

    Raises progress.Cancelled; what the daemon refuses is a reason."""
    if plan.daemon is None:
        return FirstToken.unknown("not measured: there is no daemon")
    if variant.tag is None:
        return FirstToken.unknown("not measured: the daemon serves models that have a name only")
    if is_settings_variant:
        return FirstToken.unknown("not measured: the daemon serves the model with its own settings")
    try:
        return asyncio.run(_Requests(plan.daemon, variant, variant.tag, plan, cancelled).measure())
    except NybbleError as error:
        return FirstToken.unknown(f"not measured: {error.message}")
    except TimeoutError:
        return FirstToken.unknown("not measured: the daemon did not unload the model in time")


class _Requests:
    def __init__(self, address: str, variant: Variant, tag: str, plan: SpeedPlan, cancelled: Event) -> None:
        self._client = Client(address)
        self._variant = variant
        self._tag = tag
        self._plan = plan
        self._cancelled = cancelled
        wanted = Plan(prompt_tokens=plan.prompt_tokens, generate_tokens=_TOKENS)
        self._load = Load(self._client, tag, wanted)

    async def measure(self) -> FirstToken:
        """The daemon has the same models loaded afterwards as before."""
        async with self._client:
            is_in_use = await self._is_loaded()
            reason = _IN_USE if is_in_use else why_not_cold(self._variant.path)
            cold, warm = [await self._load.calibrate()], []
            for _ in range(self._plan.requests):
                progress.check(self._cancelled)
                warm.append(await self._load.request())
            while reason is None and len(cold) < self._plan.loads - 1:
                await self._unload()
                reason = why_not_cold(self._variant.path)
                cold.append(await self._load.request())
            if not is_in_use:
                await self._unload()
        return FirstToken(
            server=spread.median([ttft_s for each in warm if (ttft_s := each.timings.ttft_s) is not None]),
            client=_as_client(warm),
            cold=Estimate(reason=reason) if reason else _as_client(cold),
        )

    async def _is_loaded(self) -> bool:
        return any(model.digest == self._variant.digest for model in await self._client.loaded())

    async def _unload(self) -> None:
        """Asks, and waits for the end of the process: until then it holds the file."""
        await self._client.stop(self._tag)
        async with asyncio.timeout(_UNLOAD_PATIENCE_S):
            while await self._is_loaded():
                progress.check(self._cancelled)
                await asyncio.sleep(_UNLOAD_POLL_S)


def _as_client(traces: list[Trace]) -> Estimate:
    """The client's time to the first token, in seconds."""
    return spread.median([trace.ttft_ms / 1000 for trace in traces])
