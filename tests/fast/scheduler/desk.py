"""A scheduler with a machine and a clock that tests set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelstore.errors import NybbleError
from modelstore.gguf import read_header
from modelstore.header import Header
from runner.effects import AnnounceReload, Effect, Enqueued, StartLoad, Unload
from runner.loaded import Request
from runner.placement import Demand, Machine, Wish
from runner.scheduler import Scheduler

TINY = Path(__file__).parents[2] / "data" / "nybble-tiny-f16.gguf"
GB = 10**9


def tiny_header() -> Header:
    """With all weights in one tensor: memory is worked out from the tensors thousands of times, and what is
    needed is the same."""
    with TINY.open("rb") as stream:
        header = read_header(stream, TINY.stat().st_size)
    return replace(header, tensors=(replace(header.tensors[0], size_bytes=header.weights_bytes),))


HEADER = tiny_header()


def need(context_length: int) -> int:
    """Bytes of the model with one slot."""
    return Demand(HEADER).need(context_length, 1).total_bytes


NEED = need(1024)


class Desk:
    """On a machine with room for `models` models of any context."""

    def __init__(self, models: float = 10, max_queue: int = 100, budget_bytes: int | None = None) -> None:
        self.now_s = 0.0
        self.taken = 0
        self.room = models
        self.scheduler = Scheduler(max_queue, budget_bytes, self.machine)

    def machine(self) -> Machine:
        reserve = Machine(8 * GB, 0).ram_usable_bytes
        return Machine(8 * GB, int((self.room - self.taken + 0.5) * NEED) - reserve)

    def request(
        self, name: str, key: str, keep_alive_s: float | None = None, least: int | None = None, slots: int = 1
    ) -> list[Effect]:
        demand = Demand(HEADER, Wish(context_length=256, least_context_length=least, slots=slots))
        return self.scheduler.on_request(Request(name, key, demand, keep_alive_s, 300), self.now_s)

    def loaded(self, key: str, memory_bytes: int | None = None, load_s: float = 1.0) -> list[Effect]:
        self.taken += 1
        return self.scheduler.on_loaded(key, memory_bytes, load_s, self.now_s)

    def exited(self, key: str, death: NybbleError | None = None) -> list[Effect]:
        self.taken -= 1
        return self.scheduler.on_exited(key, self.now_s, death)

    def done(self, name: str, answered: bool = True) -> list[Effect]:
        return self.scheduler.on_done(name, self.now_s, answered=answered)

    def ready(self, key: str, load_s: float = 1.0) -> None:
        """Loads a model and leaves it idle."""
        self.request(f"first of {key}", key)
        self.loaded(key, load_s=load_s)
        self.done(f"first of {key}")


def kinds(effects: list[Effect]) -> list[tuple[str, str]]:
    """What happens to whom, without news for those who wait."""
    return [
        (type(effect).__name__, effect.key if isinstance(effect, StartLoad | Unload) else effect.request_id)
        for effect in effects
        if not isinstance(effect, Enqueued | AnnounceReload)
    ]


def positions(effects: list[Effect]) -> dict[str, int]:
    return {effect.request_id: effect.position for effect in effects if isinstance(effect, Enqueued)}
