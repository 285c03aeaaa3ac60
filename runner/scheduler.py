"""Which models are loaded, and when a request may start: a pure state machine.

Events come in through the `on_*` methods, each with the time and, where memory matters, the machine; effects
come out as a list for the supervisor to carry out. No I/O, no clock, no locks.

    absent ──on_request──▶ waiting for room ──▶ loading ──on_loaded──▶ ready ──▶ unloading ──on_exited──▶ …
                                 ▲                                                   │
                                 └───────── requests that need a larger context ─────┘

Requests to one model start in the order in which they came. A model waits for another only if it needs its
memory: one that works without a pause gives way, when its running requests have ended, to one that has waited
for `PATIENCE_S`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from modelstore.errors import NybbleError
from runner.breaker import Breaker
from runner.effects import AnnounceReload, Effect, Enqueued, Reject, Start, StartLoad, Unload
from runner.errors import DoesNotFit, Overloaded, WorkerFailed
from runner.instance import digest_of
from runner.loaded import Loaded, Phase, Request
from runner.placement import (
    Cost,
    Demand,
    Machine,
    Placement,
    Refusal,
    Resident,
    Shortage,
    Wait,
    most_wasteful,
    place,
)

PATIENCE_S = 10.0
_UNWANTED = "nobody waits for it any more"


class Scheduler:
    """Owner of the list of loaded models. What loads cost is remembered by key, so that the next is placed by
    measurement."""

    def __init__(self, max_queue: int, budget_bytes: int | None, machine: Callable[[], Machine]) -> None:
        """`machine` reads the memory as it is now; it is asked only when a model needs a place.
        `budget_bytes` is for all models together; None is what the machine can give."""
        self.models: dict[str, Loaded] = {}
        self._max_queue = max_queue
        self._budget_bytes = budget_bytes
        self._machine = machine
        self._costs: dict[str, Cost] = {}
        self._breaker = Breaker()
        self._giving_way: set[str] = set()
        self._draining = False

    # Events

    def on_request(self, request: Request, now_s: float) -> list[Effect]:
        """Refuse it, or start it if its model is ready and large enough, or queue it and see to the model."""
        if refusal := self._refusal(request, now_s):
            return [Reject(request.request_id, refusal)]
        model = self.models.get(request.key)
        if model is None:
            model = self.models[request.key] = Loaded(request.key, Phase.WAITING_FOR_ROOM, now_s)
        notice = self._reload_notice(model, request)
        model.waiting.append(request)
        return self._settle(now_s) + notice

    def on_loaded(self, key: str, memory_bytes: int | None, load_s: float, now_s: float) -> list[Effect]:
        """`memory_bytes` is what the worker holds, as far as it can tell; on GPUs the arithmetic stands."""
        model = self.models[key]
        if model.phase is Phase.LOADING and model.placement:
            shape, surplus_bytes = (model.placement.context_length, model.placement.slots), 0
            if memory_bytes is not None and model.placement.gpu_layers == 0:
                known = self._costs.get(key)
                surplus_bytes = memory_bytes - model.memory_bytes + (known.surplus_of(*shape) if known else 0)
                model.memory_bytes = memory_bytes
            self._costs[key] = Cost(*shape, surplus_bytes, load_s)
            model.load_s = load_s
            model.idle_since_s = now_s
            model.enter(Phase.READY, now_s)
            return self._settle(now_s)
        # It was given up in the very moment in which it became ready.
        return [Unload(key, _UNWANTED), *self._settle(now_s)]

    def on_load_failed(self, key: str, error: NybbleError, now_s: float) -> list[Effect]:
        """The worker is gone; all who waited for it get its reason."""
        if isinstance(error, WorkerFailed):
            self._breaker.on_death(key, error, now_s)
        return self._reject_all(self.models.pop(key), error) + self._settle(now_s)

    def on_exited(self, key: str, now_s: float, death: NybbleError | None = None) -> list[Effect]:
        """A worker ended; `death` is why, if nobody asked it to. Its active requests have been failed by its
        process's owner."""
        model = self.models.pop(key)
        if death is not None and not model.has_answered:
            self._breaker.on_death(key, death, now_s)
        effects: list[Effect] = []
        if refusal := self._breaker.refusal(key, now_s):
            effects = self._reject_all(model, refusal)
        elif model.waiting:
            self.models[key] = model.successor(now_s)
        return effects + self._settle(now_s)

    def on_done(self, request_id: str, now_s: float, *, answered: bool) -> list[Effect]:
        """A request ended or its client went away, in whatever phase it was. `answered`: its worker has ended
        a request in good order by now, this one or another."""
        model = next((model for model in self.models.values() if model.has(request_id)), None)
        if model is None:
            return []
        if model.leave_queue(request_id):
            return self._abandon(model, now_s) + self._settle(now_s)
        model.finish(request_id, now_s)
        if answered:
            model.has_answered = True
            self._breaker.on_success(model.key)
        return self._settle(now_s)

    def on_unload(self, digest: str, now_s: float) -> list[Effect]:
        """Somebody wants all instances of the weights gone: at once if idle, else when their requests are
        done."""
        for model in self.models.values():
            if digest_of(model.key) == digest:
                model.keep_alive_s = 0.0
        return self._settle(now_s)

    def on_tick(self, now_s: float) -> list[Effect]:
        """Unload what has been idle for its keep-alive."""
        return self._settle(now_s)

    def on_drain(self) -> None:
        """From now on no request is accepted."""
        self._draining = True

    def on_close(self, error: NybbleError) -> list[Effect]:
        """Nobody is served any more: who waits gets `error`, and nothing is loaded for them."""
        self.on_drain()
        return [effect for model in self.models.values() for effect in self._reject_all(model, error)]

    # Decisions: requests

    def _refusal(self, request: Request, now_s: float) -> NybbleError | None:
        if self._draining:
            return Overloaded("nybble is shutting down")
        if refusal := self._breaker.refusal(request.key, now_s):
            return refusal
        model = self.models.get(request.key)
        if model is not None and model.placement is not None and not model.can_serve(request):
            placed = place(self._demand(request), self._room(), self._residents(now_s))
            if isinstance(placed, Refusal):
                return _does_not_fit(placed)
        queued = sum(each.queue_length for each in self.models.values())
        if queued < self._max_queue or (model is not None and model.has_free_slot):
            return None
        return Overloaded(
            f"{queued} requests are waiting already, and max_queue is {self._max_queue}",
            hint="try again later, or raise max_queue",
            retry_after_s=self._next_place_s(now_s),
        )

    def _next_place_s(self, now_s: float) -> float | None:
        """When the queue is likely to have a place again: after the rest of a load that is waited for, and as
        long as the next request takes to end, at the pace of late. None if nothing is known."""
        estimates = []
        for model in self.models.values():
            measured = self._costs.get(model.key)
            if model.phase is Phase.LOADING and measured:
                estimates.append(max(0.0, model.phase_since_s + measured.load_s - now_s))
            elif model.queue_length and model.departure_gap_s is not None:
                estimates.append(model.departure_gap_s)
        return min(estimates, default=None)

    def _reload_notice(self, model: Loaded, request: Request) -> list[Effect]:
        if model.phase not in (Phase.LOADING, Phase.READY) or model.can_serve(request):
            return []
        has = model.placement.context_length if model.placement else 0
        reason = f"the request needs a context of {request.least_context_length} tokens, {has} are loaded"
        return [AnnounceReload(request.request_id, reason)]

    def _reject_all(self, model: Loaded, error: NybbleError) -> list[Effect]:
        rejected: list[Effect] = [Reject(request.request_id, error) for request in model.waiting]
        model.waiting.clear()
        return rejected

    # Decisions: models

    def _settle(self, now_s: float) -> list[Effect]:
        """All that follows from the state as it is now. Serving again at the end, because placing may have
        found that a model need not give way any more."""
        effects = self._serve_all(now_s) + self._place_waiting(now_s) + self._serve_all(now_s)
        effects += self._keep_budget(now_s)
        # News of the queue first: what is told last, as that a load begins, is what clients show.
        return [Enqueued(*moved) for model in self.models.values() for moved in model.moved()] + effects

    def _serve_all(self, now_s: float) -> list[Effect]:
        return [effect for model in list(self.models.values()) for effect in self._serve(model, now_s)]

    def _serve(self, model: Loaded, now_s: float) -> list[Effect]:
        """Start what a ready model can; then unload it if it is too small for the rest, or expired."""
        if model.phase is not Phase.READY:
            return []
        effects: list[Effect] = []
        gives_way = model.key in self._giving_way
        while model.waiting and model.can_serve(model.waiting[0]) and not gives_way:
            effects.append(Start(model.start_next(now_s).request_id, model.key))
        expires_s = model.expires_at_s()
        if not model.active and model.waiting and not gives_way:
            effects.append(self._unload(model, "a request needs a larger context", now_s))
        elif expires_s is not None and expires_s <= now_s:
            effects.append(self._unload(model, f"kept for {model.keep_alive_s:g} s of idling", now_s))
        return effects

    def _abandon(self, model: Loaded, now_s: float) -> list[Effect]:
        """Stop loading a model that nobody waits for any more."""
        if model.waiting:
            return []
        if model.phase is Phase.WAITING_FOR_ROOM:
            del self.models[model.key]
        if model.phase is Phase.LOADING:
            return [self._unload(model, _UNWANTED, now_s)]
        return []

    def _unload(self, model: Loaded, reason: str, now_s: float) -> Effect:
        model.enter(Phase.UNLOADING, now_s)
        return Unload(model.key, reason)

    def _place_waiting(self, now_s: float) -> list[Effect]:
        """Place models that wait for room, in order of arrival. What is freed for one that has waited long
        is for none behind it: several small ones would in turn keep a large one out for ever."""
        self._giving_way.clear()
        effects: list[Effect] = []
        for model in [each for each in self.models.values() if each.phase is Phase.WAITING_FOR_ROOM]:
            effects += self._place(model, now_s)
            is_still_waiting = model.phase is Phase.WAITING_FOR_ROOM and model.waiting
            if is_still_waiting and now_s - model.phase_since_s >= PATIENCE_S:
                break
        return effects

    def _place(self, model: Loaded, now_s: float) -> list[Effect]:
        """One load must serve all who wait: those whose needs do not fit are refused, largest first."""
        effects: list[Effect] = []
        while model.waiting:
            request = max(model.waiting, key=lambda each: each.least_context_length)
            placed = place(self._demand(request), self._room(), self._residents(now_s))
            if not isinstance(placed, Refusal):
                return effects + self._follow(model, placed, now_s)
            model.leave_queue(request.request_id)
            effects.append(Reject(request.request_id, _does_not_fit(placed)))
        del self.models[model.key]
        return effects

    def _follow(self, model: Loaded, placed: Placement | Wait, now_s: float) -> list[Effect]:
        if isinstance(placed, Wait):
            if now_s - model.phase_since_s >= PATIENCE_S:
                self._giving_way.update(placed.rivals)
            return []
        if placed.victims:
            return self._evict(placed.victims, "another model needs its memory", now_s)
        model.placement, model.memory_bytes = placed, placed.memory_bytes
        model.enter(Phase.LOADING, now_s)
        return [StartLoad(model.key, placed)]

    def _keep_budget(self, now_s: float) -> list[Effect]:
        """Loads can turn out larger than they were predicted: idle models go then, but never the only one."""
        staying = [each for each in self._residents(now_s) if not each.is_leaving]
        excess = sum(each.memory_bytes for each in staying) - (self._budget_bytes or 0)
        if self._budget_bytes is None or excess <= 0:
            return []
        idle = [each for each in staying if each.idle_s is not None]
        spare = idle if len(idle) < len(staying) else sorted(idle, key=lambda each: each.waste)[1:]
        short = Shortage(0, min(excess, sum(each.memory_bytes for each in spare)))
        why = f"memory_budget is exceeded by {excess / 1e6:.0f} MB"
        return self._evict(most_wasteful(spare, short), why, now_s)

    def _evict(self, victims: Sequence[str], why: str, now_s: float) -> list[Effect]:
        models = [self.models[key] for key in victims]
        return [self._unload(model, f"{why}; {model.resident(now_s).worth}", now_s) for model in models]

    def _demand(self, request: Request) -> Demand:
        return replace(request.demand, cost=self._costs.get(request.key))

    def _room(self) -> Machine:
        """The machine, less what is promised but not yet visible: models that are loading, and all of ours on
        the GPUs, whose free memory was measured before they came."""
        machine = self._machine()
        models = [(model, model.placement.gpu_layers) for model in self.models.values() if model.placement]
        loading = sum(m.memory_bytes for m, layers in models if m.phase is Phase.LOADING and not layers)
        on_gpu = sum(m.memory_bytes for m, layers in models if layers)
        budget = self._budget_bytes
        if budget is not None:
            budget -= sum(model.memory_bytes for model, _ in models)
        return replace(
            machine,
            ram_available_bytes=machine.ram_available_bytes - loading,
            gpu_available_bytes=machine.gpu_available_bytes - on_gpu,
            budget_bytes=budget,
        )

    def _residents(self, now_s: float) -> list[Resident]:
        return [model.resident(now_s) for model in self.models.values() if model.placement is not None]


def _does_not_fit(refusal: Refusal) -> DoesNotFit:
    return DoesNotFit(refusal.reason, hint=refusal.hint)
