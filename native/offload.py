"""Where llama.cpp put a model's weights, from what it logged while loading: no call of its API says so."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BUFFER = re.compile(r"load_tensors:\s+(\S+) model buffer size =\s*([\d.]+) MiB")
_LAYERS = re.compile(r"load_tensors: offloaded (\d+/\d+) layers to GPU")


def placed_on(log_lines: Iterable[str]) -> str:
    """Such as "CPU 94 MiB", or "CUDA0 4096 MiB, CPU 292 MiB, 33/33 layers on the GPU"."""
    sizes_mib: dict[str, float] = {}
    layers = ""
    for line in log_lines:
        if match := _BUFFER.match(line):
            # CPU_Mapped, CPU_REPACK and the like are all host memory.
            device = match[1].removesuffix("_Host").split("_")[0]
            sizes_mib[device] = sizes_mib.get(device, 0.0) + float(match[2])
        elif match := _LAYERS.match(line):
            layers = f"{match[1]} layers on the GPU"
    parts = [f"{device} {size:.0f} MiB" for device, size in sizes_mib.items()]
    return ", ".join([*parts, layers] if layers and not layers.startswith("0/") else parts)
