"""What llama.cpp decided while loading, from what it logged: no call of its API says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_BUFFER = re.compile(r"\w+:\s+(\S+)\s+(model|KV|RS|compute|output) buffer size =\s*([\d.]+) MiB")
_LAYERS = re.compile(r"load_tensors: offloaded (\d+/\d+) layers to GPU")
_FLASH_STATE = re.compile(r"llama_context: flash_attn\s+= (\w+)")
_FLASH_FOUND, _FLASH_LACKING = "Flash Attention enabled", "Flash Attention not supported"
_HOST_DEVICES = frozenset({"CPU"})


@dataclass(frozen=True, slots=True)
class Buffer:
    """`device` is ggml's name without the suffixes of special buffers; `kind` is "model", "KV", "RS"
    (recurrent state), "compute" or "output"."""

    device: str
    kind: str
    size_bytes: int

    @property
    def is_on_gpu(self) -> bool:
        return self.device not in _HOST_DEVICES


def buffers(log_lines: Iterable[str]) -> list[Buffer]:
    """All that was allocated, to a hundredth of a MiB."""
    found = (_BUFFER.match(line) for line in log_lines)
    return [Buffer(_device(match[1]), match[2], int(float(match[3]) * 2**20)) for match in found if match]


def placed_on(log_lines: Sequence[str]) -> str:
    """Such as "CPU 94 MiB", or "CUDA0 4096 MiB, CPU 292 MiB, 33/33 layers on the GPU"."""
    sizes_bytes: dict[str, int] = {}
    for buffer in buffers(log_lines):
        if buffer.kind == "model":
            sizes_bytes[buffer.device] = sizes_bytes.get(buffer.device, 0) + buffer.size_bytes
    parts = [f"{device} {size / 2**20:.0f} MiB" for device, size in sizes_bytes.items()]
    layers = next((match[1] for line in log_lines if (match := _LAYERS.match(line))), "0/")
    return ", ".join(parts if layers.startswith("0/") else [*parts, f"{layers} layers on the GPU"])


def flash_attention(log_lines: Iterable[str]) -> bool | None:
    """Whether the context that was made last uses flash attention; None if the log does not say."""
    state: bool | None = None
    for line in log_lines:
        if match := _FLASH_STATE.match(line):
            state = {"enabled": True, "disabled": False}.get(match[1])
        elif _FLASH_FOUND in line:
            state = True
        elif _FLASH_LACKING in line:
            state = False
    return state


def _device(buffer_name: str) -> str:
    """CPU_Mapped, CPU_REPACK and the like are all host memory, and so is CUDA_Host."""
    return "CPU" if buffer_name.endswith("_Host") else buffer_name.split("_")[0]
