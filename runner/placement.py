"""Where a model goes and how large its context may be: pure arithmetic, with the reason in words.

Everything on the GPUs if it fits there, else on the CPU. Idle models make room, the longest idle first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelstore.fit import memory_need
from modelstore.header import Header

# What auto tries, largest first. More is for those who ask: the KV cache takes its memory at once.
_CONTEXT_LENGTHS = (8192, 4096, 2048, 1024)
_SLOTS = (4, 2, 1)
_FALLBACK_TRAINED_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory now, in bytes: what programs can still have of the RAM, and of all GPUs together."""

    ram_total_bytes: int
    ram_available_bytes: int
    gpu_names: tuple[str, ...] = ()
    gpu_available_bytes: int = 0

    @property
    def ram_usable_bytes(self) -> int:
        """Leaves the system what it needs to stay usable."""
        return self.ram_available_bytes - max(512 * 2**20, self.ram_total_bytes // 20)


@dataclass(frozen=True, slots=True)
class Wish:
    """What settings or the request ask for; None means: decide. `least_context_length` is what the request
    needs at least. `gpu_layers` 0 is the CPU."""

    context_length: int | None = None
    least_context_length: int | None = None
    slots: int | None = None
    gpu_layers: int | None = None


@dataclass(frozen=True, slots=True)
class Resident:
    """A model that has memory now. `idle_s` is None while it works or loads: then it cannot be a victim.
    One that `is_leaving` unloads already: its memory is on its way."""

    key: str
    memory_bytes: int
    idle_s: float | None
    is_leaving: bool = False


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
    """It fits once models that are busy or unloading now have ended."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """It does not fit this machine, whatever is unloaded."""

    reason: str


def place(
    header: Header, wish: Wish, machine: Machine, residents: Sequence[Resident]
) -> Placement | Wait | Refusal:
    """The first shape that fits without a victim; else the smallest one, with victims."""
    shapes = list(_shapes(header, wish, machine))
    for context_length, slots in shapes:
        if placement := _fit(header, wish, machine, context_length, slots):
            return placement
    context_length, slots = shapes[-1]
    need = memory_need(header, context_length, slots).total_bytes
    room = machine.ram_usable_bytes + sum(r.memory_bytes for r in residents if r.is_leaving)
    if room >= need:
        return Wait()
    idle = sorted((r for r in residents if r.idle_s is not None), key=lambda r: -(r.idle_s or 0.0))
    victims = []
    while idle and room < need:
        victim = idle.pop(0)
        victims.append(victim.key)
        room += victim.memory_bytes
    if room >= need:
        reason = f"CPU: after unloading {len(victims)} idle model(s)"
        return Placement(context_length, slots, 0, need, reason, tuple(victims))
    if machine.ram_usable_bytes + sum(r.memory_bytes for r in residents) >= need:
        return Wait()
    return Refusal(_too_large(need, context_length, machine))


def _shapes(header: Header, wish: Wish, machine: Machine) -> Iterator[tuple[int, int]]:
    """`(context length, slots)` to try, most wanted first; never empty."""
    trained = header.context_length or _FALLBACK_TRAINED_LENGTH
    least = min(wish.least_context_length or 1, trained)
    if wish.context_length is not None:
        lengths = [max(least, min(wish.context_length, trained))]
    else:
        lengths = [max(least, min(length, trained)) for length in _CONTEXT_LENGTHS]
    cap = _kv_cap_bytes(header, machine)
    for length in dict.fromkeys(lengths):
        for slots in (wish.slots,) if wish.slots else _SLOTS:
            if wish.slots or slots == 1 or memory_need(header, length, slots).kv_bytes <= cap:
                yield length, slots


def _kv_cap_bytes(header: Header, machine: Machine) -> int:
    """Parallel slots are a convenience: their KV caches together stay in proportion to the model and to the
    machine unless somebody asks for more."""
    return min(machine.ram_total_bytes // 8, max(2**30, header.weights_bytes))


def _fit(header: Header, wish: Wish, machine: Machine, context_length: int, slots: int) -> Placement | None:
    need = memory_need(header, context_length, slots).total_bytes
    if wish.gpu_layers != 0 and machine.gpu_names and need <= machine.gpu_available_bytes:
        free = _size(machine.gpu_available_bytes)
        reason = f"GPU ({', '.join(machine.gpu_names)}): needs {_size(need)}, {free} free"
        return Placement(context_length, slots, wish.gpu_layers or -1, need, reason)
    if need <= machine.ram_usable_bytes:
        return Placement(context_length, slots, 0, need, _why_cpu(wish, machine, need))
    return None


def _why_cpu(wish: Wish, machine: Machine, need: int) -> str:
    if wish.gpu_layers == 0:
        return "CPU: gpu_layers is 0"
    if not machine.gpu_names:
        return "CPU: no GPU backend found"
    return f"CPU: needs {_size(need)}, the GPU has {_size(machine.gpu_available_bytes)} free"


def _too_large(need: int, context_length: int, machine: Machine) -> str:
    return (
        f"needs {_size(need)} of memory with a context of {context_length} tokens;"
        f" {_size(machine.ram_available_bytes)} of {_size(machine.ram_total_bytes)} are available"
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
