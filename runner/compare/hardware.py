"""What this machine is, as a comparison states it, and what memory it has to give."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

from native.snapshot import HardwareSnapshot
from runner import system
from runner.machine import machine_of, probe
from runner.placement import Machine


@dataclass(frozen=True, slots=True)
class Hardware:
    """`engine` and `machine` are what a comparison says of both; `memory` is that of now."""

    snapshot: HardwareSnapshot
    engine: dict[str, str]
    machine: dict[str, str]
    memory: Machine

    @property
    def has_gpu(self) -> bool:
        return bool(self.memory.gpu_names)

    @property
    def key(self) -> str:
        """What figures of models depend on."""
        return " · ".join(self.machine[name] for name in ("system", "cpu", "gpu") if name in self.machine)

    def free_bytes(self, gpu_layers: int) -> int:
        """For models that are loaded so."""
        return self.memory.gpu_usable_bytes if gpu_layers else self.memory.ram_usable_bytes


def look(budget_bytes: int | None) -> Hardware:
    """Raises WorkerFailed if the probe fails."""
    snapshot = probe()
    gpus = [device for device in snapshot.devices if device.kind == "gpu"]
    machine = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": system.cpu_model() or "unknown",
        "cores": str(snapshot.physical_cores),
        "memory": f"{snapshot.memory.total_bytes / 2**30:.1f} GiB",
    }
    if gpus:
        machine["gpu"] = ", ".join(gpu.description for gpu in gpus)
    engine = {
        "name": "llama.cpp",
        "llama_cpp_python": snapshot.llama_cpp_python,
        "build": snapshot.system_info,
        "nybble": metadata.version("nybble"),
    }
    return Hardware(snapshot, engine, machine, machine_of(snapshot.memory, gpus, budget_bytes))
