"""What a machine has for running models: plain values, cheap to import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceKind = Literal["cpu", "gpu", "igpu", "accel"]


@dataclass(frozen=True, slots=True)
class Device:
    """One device that ggml can compute on. The memory of a CPU device is the computer's."""

    name: str
    description: str
    kind: DeviceKind
    free_bytes: int | None
    total_bytes: int | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory this process may use: of the machine, or of the container if that is less."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class HardwareSnapshot:
    """`instruction_sets` are those that llama.cpp was compiled with, by its own names; `physical_cores` those
    this process may use."""

    llama_cpp_python: str
    system_info: str
    instruction_sets: tuple[str, ...]
    devices: tuple[Device, ...]
    physical_cores: int
    performance_cores: int | None
    memory: Memory

    def to_json(self) -> bytes:
        import msgspec  # not for those who only ask for the memory

        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> HardwareSnapshot:
        """Raises ValueError if `text` is not what `to_json` wrote."""
        import msgspec

        return msgspec.json.decode(text, type=cls)
