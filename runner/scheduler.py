"""Which models are loaded, and when a request may start: a pure state machine.

Events come in through the `on_*` methods, each with the time and, where memory matters, the machine; effects
come out as a list for the supervisor to carry out. No I/O, no clock, no locks.

    absent ──on_request──▶ waiting for room ──▶ loading ──on_loaded──▶ ready ──▶ unloading ──on_exited──▶ …
                                 ▲                                                   │
                                 └───────── requests that need a larger context ─────┘
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from modelstore.errors import NybbleError
from modelstore.header import Header
from runner.errors import DoesNotFit, Overloaded
from runner.placement import Machine, Placement, Refusal, Resident, Wish, place


class Phase(Enum):
    WAITING_FOR_ROOM = "waiting for room"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"


@dataclass(frozen=True, slots=True)
class Request:
    """`key` is the digest of the model. `keep_alive_s` negative keeps it for ever."""

    request_id: str
    key: str
    header: Header
    wish: Wish
    keep_alive_s: float


@dataclass(frozen=True, slots=True)
class StartLoad:
    key: str
    placement: Placement


@dataclass(frozen=True, slots=True)
class Unload:
    key: str


@dataclass(frozen=True, slots=True)
class Start:
    """The model of this request is ready: the request may go to its worker."""

    request_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Reject:
    request_id: str
    error: NybbleError


Effect = StartLoad | Unload | Start | Reject


@dataclass(slots=True)
class Loaded:
    """One model as the scheduler sees it. `placement` is None only while it waits for room."""

    key: str
    phase: Phase
    placement: Placement | None = None
    active: set[str] = field(default_factory=set)
    waiting: deque[Request] = field(default_factory=deque)
    keep_alive_s: float = 0.0
    idle_since_s: float | None = None

    def expires_at_s(self) -> float | None:
        """When an idle model is to be unloaded; None while it works or if it stays for ever."""
        if self.phase is not Phase.READY or self.idle_since_s is None or self.keep_alive_s < 0:
            return None
        return self.idle_since_s + self.keep_alive_s

    def can_serve(self, request: Request) -> bool:
        least = request.wish.least_context_length or 0
        trained = request.header.context_length or least
        return self.placement is not None and self.placement.context_length >= min(least, trained)


class Scheduler:
    """Owner of the list of loaded models."""

    def __init__(self, max_queue: int, machine: Callable[[], Machine]) -> None:
        """`machine` reads the memory as it is now; it is asked only when a model needs a place."""
        self.models: dict[str, Loaded] = {}
        self._max_queue = max_queue
        self._machine = machine
        self._draining = False

    # Events

    def on_request(self, request: Request, now_s: float) -> list[Effect]:
        """1. draining or full: reject; 2. ready and large enough: start; 3. else queue, see to the model."""
        if self._draining:
            return [Reject(request.request_id, Overloaded("nybble is shutting down"))]
        if sum(len(model.waiting) for model in self.models.values()) >= self._max_queue:
            message = f"{self._max_queue} requests are waiting already"
            return [Reject(request.request_id, Overloaded(message, hint="try again in a moment"))]
        model = self.models.setdefault(request.key, Loaded(request.key, Phase.WAITING_FOR_ROOM))
        model.waiting.append(request)
        return self._serve(model, now_s) + self._make_room(now_s)

    def on_loaded(self, key: str, now_s: float) -> list[Effect]:
        model = self.models[key]
        if model.phase is Phase.LOADING:
            model.phase = Phase.READY
            model.idle_since_s = now_s
        return self._serve(model, now_s)

    def on_load_failed(self, key: str, error: NybbleError, now_s: float) -> list[Effect]:
        """The worker is gone; all who waited for it get its reason."""
        model = self.models.pop(key)
        rejected: list[Effect] = [Reject(request.request_id, error) for request in model.waiting]
        return rejected + self._make_room(now_s)

    def on_exited(self, key: str, now_s: float) -> list[Effect]:
        """A worker ended, asked for or not. Its active requests have been failed by its process's owner."""
        model = self.models.pop(key)
        if model.waiting:
            self.models[key] = Loaded(key, Phase.WAITING_FOR_ROOM, waiting=model.waiting)
        return self._make_room(now_s)

    def on_done(self, request_id: str, now_s: float) -> list[Effect]:
        """A request ended or its client went away, in whatever phase it was."""
        for model in self.models.values():
            if request_id in model.active:
                model.active.remove(request_id)
                if not model.active:
                    model.idle_since_s = now_s
                return self._serve(model, now_s) + self._make_room(now_s)
            if any(request.request_id == request_id for request in model.waiting):
                kept = (request for request in model.waiting if request.request_id != request_id)
                model.waiting = deque(kept)
                return self._abandon(model) + self._make_room(now_s)
        return []

    def on_unload(self, key: str, now_s: float) -> list[Effect]:
        """Somebody wants the model gone: at once if idle, else when its requests are done."""
        model = self.models.get(key)
        if model is None or model.phase is not Phase.READY:
            return []
        model.keep_alive_s = 0.0
        return self._serve(model, now_s)

    def on_tick(self, now_s: float) -> list[Effect]:
        """Unload what has been idle for its keep-alive."""
        return [effect for model in list(self.models.values()) for effect in self._serve(model, now_s)]

    def on_drain(self) -> None:
        """From now on no request is accepted."""
        self._draining = True

    # Decisions

    def _serve(self, model: Loaded, now_s: float) -> list[Effect]:
        """Start what a ready model can; then unload it if it is too small for the rest, or expired."""
        if model.phase is not Phase.READY:
            return []
        effects: list[Effect] = []
        while model.waiting and model.can_serve(model.waiting[0]):
            request = model.waiting.popleft()
            model.active.add(request.request_id)
            model.keep_alive_s = request.keep_alive_s
            model.idle_since_s = None
            effects.append(Start(request.request_id, model.key))
        expires = model.expires_at_s()
        is_too_small = bool(model.waiting)
        if not model.active and (is_too_small or (expires is not None and expires <= now_s)):
            effects.append(self._unload(model))
        return effects

    def _abandon(self, model: Loaded) -> list[Effect]:
        """Stop loading a model that nobody waits for any more."""
        if model.waiting:
            return []
        if model.phase is Phase.WAITING_FOR_ROOM:
            del self.models[model.key]
        if model.phase is Phase.LOADING:
            return [self._unload(model)]
        return []

    def _unload(self, model: Loaded) -> Effect:
        model.phase = Phase.UNLOADING
        return Unload(model.key)

    def _make_room(self, now_s: float) -> list[Effect]:
        """Place models that wait for room, in order of arrival."""
        effects: list[Effect] = []
        waiting = [m for m in self.models.values() if m.phase is Phase.WAITING_FOR_ROOM and m.waiting]
        for model in waiting:
            effects += self._place(model, now_s)
        return effects

    def _place(self, model: Loaded, now_s: float) -> list[Effect]:
        request = _most_demanding(model.waiting)
        placed = place(request.header, request.wish, self._room(), list(self._residents(now_s)))
        if isinstance(placed, Refusal):
            del self.models[model.key]
            hint = "a smaller quantization or a shorter context needs less"
            error = DoesNotFit(placed.reason, hint=hint)
            return [Reject(waiting.request_id, error) for waiting in model.waiting]
        if isinstance(placed, Placement) and not placed.victims:
            model.phase, model.placement = Phase.LOADING, placed
            return [StartLoad(model.key, placed)]
        victims = placed.victims if isinstance(placed, Placement) else ()
        return [self._unload(self.models[key]) for key in victims]

    def _room(self) -> Machine:
        """The machine, less what is promised but not yet visible: models that are loading, and all of ours on
        the GPUs, whose free memory was measured before they came."""
        machine = self._machine()
        placed = [(m.phase, m.placement) for m in self.models.values() if m.placement]
        loading = sum(p.memory_bytes for phase, p in placed if phase is Phase.LOADING and not p.gpu_layers)
        on_gpu = sum(p.memory_bytes for _, p in placed if p.gpu_layers)
        return replace(
            machine,
            ram_available_bytes=machine.ram_available_bytes - loading,
            gpu_available_bytes=machine.gpu_available_bytes - on_gpu,
        )

    def _residents(self, now_s: float) -> Iterator[Resident]:
        for model in self.models.values():
            if model.placement is not None:
                is_idle = model.phase is Phase.READY and model.idle_since_s is not None
                idle_s = now_s - (model.idle_since_s or 0.0) if is_idle else None
                is_leaving = model.phase is Phase.UNLOADING
                yield Resident(model.key, model.placement.memory_bytes, idle_s, is_leaving)


def _most_demanding(waiting: deque[Request]) -> Request:
    """The request with the largest least context: a load that serves it serves all."""
    return max(waiting, key=lambda request: request.wish.least_context_length or 0)
