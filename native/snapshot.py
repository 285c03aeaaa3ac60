"""What a machine has for running models: plain values, cheap to import."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
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

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> HardwareSnapshot:
        """Raises ValueError, KeyError or TypeError if `text` is not what `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            **fields
            | {
                "instruction_sets": tuple(fields["instruction_sets"]),
                "devices": tuple(Device(**device) for device in fields["devices"]),
                "memory": Memory(**fields["memory"]),
            }
        )
