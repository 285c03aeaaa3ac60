"""Where a model goes and how large its context may be: pure arithmetic, with the reason in words.

Everything on the GPUs if it fits there, else on the CPU. Idle models make room, the most wasteful first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from modelstore.fit import MemoryNeed, embedding_need, memory_need, recurrent_bytes
from modelstore.header import Header
from modelstore.kv_types import F16, KvTypes, obstacle

# What auto tries, largest first. More is for those who ask: the KV cache takes its memory at once.
_CONTEXT_LENGTHS = (8192, 4096, 2048, 1024)
_SLOTS = (4, 2, 1)
_FALLBACK_TRAINED_LENGTH = 4096
_SHORTEST_LOAD_S = 0.1


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory now, in bytes: what programs can still have of the RAM, and of all GPUs together. `budget_bytes`
    is what a setting leaves for further models, wherever they go; None if only the memory counts."""

    ram_total_bytes: int
    ram_available_bytes: int
    gpu_names: tuple[str, ...] = ()
    gpu_available_bytes: int = 0
    budget_bytes: int | None = None

    @property
    def ram_usable_bytes(self) -> int:
        return self._within_budget(self._free_bytes(on_gpu=False))

    @property
    def gpu_usable_bytes(self) -> int:
        return self._within_budget(self._free_bytes(on_gpu=True))

    def shortage(self, need_bytes: int, *, on_gpu: bool) -> Shortage:
        over_budget_bytes = 0 if self.budget_bytes is None else need_bytes - self.budget_bytes
        return Shortage(need_bytes - self._free_bytes(on_gpu=on_gpu), over_budget_bytes, on_gpu)

    def _free_bytes(self, *, on_gpu: bool) -> int:
        """Of the RAM without what the system needs to stay usable."""
        if on_gpu:
            return self.gpu_available_bytes
        return self.ram_available_bytes - max(512 * 2**20, self.ram_total_bytes // 20)

    def _within_budget(self, free_bytes: int) -> int:
        return free_bytes if self.budget_bytes is None else min(free_bytes, self.budget_bytes)


@dataclass(frozen=True, slots=True)
class Wish:
    """What settings or the request ask for; None means: decide. `least_context_length` is what the request
    needs at least. `gpu_layers` 0 is the CPU. `kv` are the types of the KV cache. With `is_embedding`, as
    many texts as `slots` are read together."""

    context_length: int | None = None
    least_context_length: int | None = None
    slots: int | None = None
    gpu_layers: int | None = None
    kv: KvTypes = F16
    flash_attention: Literal["auto", "on", "off"] = "auto"
    is_embedding: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What a load with this context and these slots cost: memory beyond the arithmetic, and seconds."""

    context_length: int
    slots: int
    surplus_bytes: int
    load_s: float

    def surplus_of(self, context_length: int, slots: int) -> int:
        """Of what it took less than foreseen, nobody knows how much another shape saves."""
        is_same = (context_length, slots) == (self.context_length, self.slots)
        return self.surplus_bytes if is_same else max(0, self.surplus_bytes)


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be loaded. `rollback_tokens` is of how many tokens it keeps the recurrent state before them.
    `cost` is what an earlier load of the same cost."""

    header: Header
    wish: Wish = Wish()
    draft: Header | None = None
    rollback_tokens: int = 0
    cost: Cost | None = None

    def need(self, context_length: int, slots: int) -> MemoryNeed:
        """The arithmetic, corrected by measurement where there is one."""
        need = self._foreseen(context_length, slots)
        surplus_bytes = self.cost.surplus_of(context_length, slots) if self.cost else 0
        return replace(need, compute_bytes=need.compute_bytes + surplus_bytes)

    def _foreseen(self, context_length: int, slots: int) -> MemoryNeed:
        if self.wish.is_embedding:
            return embedding_need(self.header, context_length, slots)
        # A draft model keeps F16: its heads may be too small for other types.
        models = [(self.header, self.wish.kv)] + ([(self.draft, F16)] if self.draft else [])
        flash_attention = self.wish.flash_attention != "off"
        needs = [
            memory_need(header, context_length, slots, kv=kv, flash_attention=flash_attention)
            for header, kv in models
        ]
        return MemoryNeed(
            weights_bytes=sum(need.weights_bytes for need in needs),
            kv_bytes=sum(need.kv_bytes for need in needs)
            + self.rollback_tokens * recurrent_bytes(self.header, slots),
            compute_bytes=sum(need.compute_bytes for need in needs),
        )


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that has memory now. `idle_s` is None while it works or loads: then it cannot be a victim.
    One that `is_leaving` unloads already: its memory is on its way. `load_s` is what loading it took."""

    key: str
    memory_bytes: int
    idle_s: float | None
    load_s: float = 0.0
    is_leaving: bool = False
    is_kept: bool = False
    is_on_gpu: bool = False

    @property
    def waste(self) -> float:
        """How little it is worth its memory: byte-seconds of idling per second of loading it again.

        Of a model that has been idle for t, nobody knows when it is asked for next; if such gaps have no
        scale of their own, the chance that it is within the next second is about 1/t. Keeping it saves
        `load_s` times that chance in every second, and costs `memory_bytes`: what saves least for its memory
        goes first.
        """
        return (self.idle_s or 0.0) * self.memory_bytes / max(self.load_s, _SHORTEST_LOAD_S)

    @property
    def worth(self) -> str:
        """What decides about it, in words."""
        return f"idle for {self.idle_s or 0:.0f} s, {_size(self.memory_bytes)}, loaded in {self.load_s:.1f} s"


@dataclass(frozen=True, slots=True)
class Shortage:
    """Bytes to free: in the memory that a load is to go to, and in all together, where a budget counts."""

    here_bytes: int
    total_bytes: int
    on_gpu: bool = False

    @property
    def is_over(self) -> bool:
        return self.here_bytes <= 0 and self.total_bytes <= 0

    def is_eased_by(self, resident: Resident) -> bool:
        return self.total_bytes > 0 or (self.here_bytes > 0 and resident.is_on_gpu == self.on_gpu)

    def without(self, gone: Iterable[Resident]) -> Shortage:
        here = sum(each.memory_bytes for each in gone if each.is_on_gpu == self.on_gpu)
        total = sum(each.memory_bytes for each in gone)
        return Shortage(self.here_bytes - here, self.total_bytes - total, self.on_gpu)


@dataclass(frozen=True, slots=True)
class Placement:
    """Load like this once `victims` are gone. `gpu_layers` -1 is all, 0 none."""

    context_length: int
    slots: int
    gpu_layers: int
    memory_bytes: int
    reason: str
    victims: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """It fits once models that are busy or unloading now have ended. `rivals` are the former, if needed, and
    idle ones that must not begin anything meanwhile: else they would never be idle at the same time."""

    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """It does not fit this machine, whatever is unloaded; or the machine cannot do what is wished."""

    reason: str
    hint: str = "a smaller quantization or a shorter context needs less"


def place(demand: Demand, machine: Machine, residents: Sequence[Resident]) -> Placement | Wait | Refusal:
    """The first shape that fits without a victim; else the smallest one, with victims. GPUs before the CPU;
    waiting for a busy model only if nothing else helps."""
    wish = demand.wish
    gpu_names = () if wish.gpu_layers == 0 else machine.gpu_names
    if reason := obstacle(demand.header, wish.kv, wish.flash_attention, gpu_names):
        return Refusal(reason, "the settings `kv_type`, `flash_attention` and `gpu_layers` decide this")
    shapes = [(*shape, demand.need(*shape).total_bytes) for shape in _shapes(demand, machine)]
    last_resort: Wait | None = None
    for gpu_layers, why in _pools(wish, machine):
        outcome = _place_in(gpu_layers, why, shapes, machine, residents)
        if isinstance(outcome, Wait) and outcome.rivals:
            last_resort = last_resort or outcome
        elif outcome is not None:
            return outcome
    length, _, need_bytes = shapes[-1]
    held_bytes = sum(each.memory_bytes for each in residents)
    return last_resort or Refusal(_too_large(need_bytes, length, machine, held_bytes))


def _place_in(
    gpu_layers: int,
    why: str,
    shapes: Sequence[tuple[int, int, int]],
    machine: Machine,
    residents: Sequence[Resident],
) -> Placement | Wait | None:
    """`shapes` are context length, slots and bytes; never empty."""
    for length, slots, need_bytes in shapes:
        short = machine.shortage(need_bytes, on_gpu=gpu_layers != 0)
        if short.is_over:
            return Placement(length, slots, gpu_layers, need_bytes, why)
    short = short.without([each for each in residents if each.is_leaving])
    if short.is_over:
        return Wait()
    staying = [each for each in residents if not each.is_leaving]
    idle = [each for each in staying if each.idle_s is not None]
    if victims := most_wasteful(idle, short):
        why = f"{why}, after unloading {len(victims)} idle model(s)"
        return Placement(length, slots, gpu_layers, need_bytes, why, victims)
    working = [each for each in staying if each.idle_s is None]
    if not (busy := most_wasteful(working, short.without(idle))):
        return None
    still_short = short.without([each for each in working if each.key in busy])
    return Wait(busy + most_wasteful(idle, still_short))


def most_wasteful(residents: Sequence[Resident], short: Shortage) -> tuple[str, ...]:
    """Those to unload to end a shortage, and none that the others make superfluous; empty if all are not
    enough. Models that users want kept for ever come last."""
    chosen: list[Resident] = []
    for each in sorted(residents, key=lambda each: (each.is_kept, -each.waste, -each.memory_bytes)):
        if short.without(chosen).is_eased_by(each):
            chosen.append(each)
    for each in reversed(chosen):
        others = [other for other in chosen if other is not each]
        if short.without(others).is_over:
            chosen = others
    return tuple(each.key for each in chosen) if short.without(chosen).is_over else ()


def _pools(wish: Wish, machine: Machine) -> Iterator[tuple[int, str]]:
    """`gpu_layers` and the reason, of the memories to try."""
    if wish.gpu_layers != 0 and machine.gpu_names:
        why = f"GPU ({', '.join(machine.gpu_names)}): {_size(machine.gpu_usable_bytes)} free"
        yield wish.gpu_layers or -1, why
    if wish.gpu_layers == 0:
        yield 0, "CPU: gpu_layers is 0"
    elif machine.gpu_names:
        yield 0, f"CPU: the GPU has {_size(machine.gpu_usable_bytes)} free"
    else:
        yield 0, "CPU: no GPU backend found"


def _shapes(demand: Demand, machine: Machine) -> Iterator[tuple[int, int]]:
    """`(context length, slots)` to try, most wanted first; never empty."""
    header, wish = demand.header, demand.wish
    trained = header.context_length or _FALLBACK_TRAINED_LENGTH
    least = min(wish.least_context_length or 1, trained)
    wanted = _CONTEXT_LENGTHS if wish.context_length is None else (wish.context_length,)
    cap = _kv_cap_bytes(header, machine)
    for length in dict.fromkeys(max(least, min(length, trained)) for length in wanted):
        for slots in (wish.slots,) if wish.slots else _SLOTS:
            if wish.slots or slots == 1 or demand.need(length, slots).kv_bytes <= cap:
                yield length, slots


def _kv_cap_bytes(header: Header, machine: Machine) -> int:
    """Parallel slots are a convenience: their KV caches together stay in proportion to the model and to the
    machine unless somebody asks for more."""
    return min(machine.ram_total_bytes // 8, max(2**30, header.weights_bytes))


def _too_large(need: int, context_length: int, machine: Machine, held_bytes: int) -> str:
    free = f"{_size(machine.ram_available_bytes)} of {_size(machine.ram_total_bytes)} are available"
    if machine.budget_bytes is not None and machine.budget_bytes < machine.ram_available_bytes:
        free = f"memory_budget is {_size(machine.budget_bytes + held_bytes)}"
    return f"needs {_size(need)} of memory with a context of {context_length} tokens; {free}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
