"""One loaded model as the scheduler sees it, with the requests that it serves and that wait for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from runner.placement import Demand, Placement, Resident

# Beyond, a model stays for ever: the calendar ends somewhere.
_LONGEST_KEEP_ALIVE_S = 10 * 365 * 86400.0
# Weight of the newest gap in the average: about the last five count.
_NEWEST = 0.3


class Phase(Enum):
    WAITING_FOR_ROOM = "waiting for room"
    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"


@dataclass(frozen=True, slots=True)
class Request:
    """`key` is that of `runner.instance`. `keep_alive_s` negative, or above ten years, keeps the model for
    ever; None leaves what counts for it now, at first `usual_keep_alive_s`."""

    request_id: str
    key: str
    demand: Demand
    keep_alive_s: float | None
    usual_keep_alive_s: float

    @property
    def least_context_length(self) -> int:
        """What it needs, within what the model was trained for."""
        least = self.demand.wish.least_context_length or 0
        return min(least, self.demand.header.context_length or least)


@dataclass(slots=True)
class Loaded:
    """`placement` is None only while it waits for room. `load_s` is what its load took; `departure_gap_s` is
    the average time from one request's end to the next while it was busy."""

    key: str
    phase: Phase
    phase_since_s: float
    waiting: deque[Request] = field(default_factory=deque)
    active: set[str] = field(default_factory=set)
    placement: Placement | None = None
    memory_bytes: int = 0
    load_s: float = 0.0
    keep_alive_s: float | None = None
    idle_since_s: float | None = None
    has_answered: bool = False
    departure_gap_s: float | None = None
    _last_departure_s: float = 0.0
    _told: dict[str, int] = field(default_factory=dict)

    def enter(self, phase: Phase, now_s: float) -> None:
        self.phase, self.phase_since_s = phase, now_s

    def expires_at_s(self) -> float | None:
        """When an idle model is to be unloaded; None while it works or if it stays for ever."""
        if self.phase is not Phase.READY or self.idle_since_s is None or self.keep_alive_s is None:
            return None
        is_bounded = 0 <= self.keep_alive_s <= _LONGEST_KEEP_ALIVE_S
        return self.idle_since_s + self.keep_alive_s if is_bounded else None

    def can_serve(self, request: Request) -> bool:
        return self.placement is not None and self.placement.context_length >= request.least_context_length

    @property
    def slots(self) -> int:
        return self.placement.slots if self.placement else 0

    @property
    def queue_length(self) -> int:
        """Requests without a slot, here and in the worker."""
        return len(self.waiting) + self._ahead

    @property
    def _ahead(self) -> int:
        """Requests that wait in the worker: it takes them in this order, before any that waits here."""
        return max(0, len(self.active) - self.slots)

    @property
    def has_free_slot(self) -> bool:
        return self.phase is Phase.READY and not self.waiting and len(self.active) < self.slots

    def start_next(self, now_s: float) -> Request:
        """The first in line becomes active; the latest request that says how long the model stays decides."""
        request = self.waiting.popleft()
        if not self.active:
            self._last_departure_s = now_s
        self.active.add(request.request_id)
        if request.keep_alive_s is not None:
            self.keep_alive_s = request.keep_alive_s
        elif self.keep_alive_s is None:
            self.keep_alive_s = request.usual_keep_alive_s
        self.idle_since_s = None
        return request

    def finish(self, request_id: str, now_s: float) -> None:
        self.active.remove(request_id)
        gap_s = now_s - self._last_departure_s
        before_s = gap_s if self.departure_gap_s is None else self.departure_gap_s
        self.departure_gap_s = before_s + _NEWEST * (gap_s - before_s)
        self._last_departure_s = now_s
        if not self.active:
            self.idle_since_s = now_s

    def has(self, request_id: str) -> bool:
        return request_id in self.active or any(each.request_id == request_id for each in self.waiting)

    def successor(self, now_s: float) -> Loaded:
        """The next load, for those who wait. What users said of how long this one stays still counts, unless
        they wanted it gone: that is done."""
        keep_alive_s = self.keep_alive_s or None
        return Loaded(self.key, Phase.WAITING_FOR_ROOM, now_s, self.waiting, keep_alive_s=keep_alive_s)

    def leave_queue(self, request_id: str) -> bool:
        """Whether the request was waiting; now it is not."""
        kept = [request for request in self.waiting if request.request_id != request_id]
        was_here = len(kept) < len(self.waiting)
        self.waiting = deque(kept)
        return was_here

    def moved(self) -> list[tuple[str, int]]:
        """Waiting requests whose place in the queue is not what was told last, with it; 1 is next."""
        places = {each.request_id: place for place, each in enumerate(self.waiting, self._ahead + 1)}
        moved = [(name, place) for name, place in places.items() if self._told.get(name) != place]
        self._told = places
        return moved

    def resident(self, now_s: float) -> Resident:
        is_idle = self.phase is Phase.READY and self.idle_since_s is not None
        return Resident(
            self.key,
            self.memory_bytes,
            idle_s=now_s - (self.idle_since_s or 0.0) if is_idle else None,
            load_s=self.load_s,
            is_leaving=self.phase is Phase.UNLOADING,
            is_kept=self.keep_alive_s is not None and self.keep_alive_s < 0,
            is_on_gpu=self.placement is not None and self.placement.gpu_layers != 0,
        )
