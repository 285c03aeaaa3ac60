"""The devices ggml can compute on."""

from __future__ import annotations

import ctypes
from typing import Any

from native import topology
from native.ggml import function
from native.snapshot import Device, DeviceKind

_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accel"}


def devices() -> tuple[Device, ...]:
    """All devices, in ggml's order. Loads llama.cpp's libraries: call it in a child only."""
    handles = [_get("get", index) for index in range(_get("count"))]
    kinds = [(handle, _KINDS.get(_get("type", handle))) for handle in handles]
    return tuple(_device(handle, kind) for handle, kind in kinds if kind is not None)


def _device(handle: int, kind: DeviceKind) -> Device:
    name, description = (_get(what, handle).decode("utf-8", "replace") for what in ("name", "description"))
    return Device(name, description.strip(), kind, *_memory(handle, kind))


def _memory(handle: int, kind: DeviceKind) -> tuple[int | None, int | None]:
    """Free and total bytes. ggml reports 0 for what it does not know, and a CPU as wholly free."""
    if kind == "cpu":
        main = topology.memory()
        return main.available_bytes, main.total_bytes
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _get("memory", handle, ctypes.byref(free), ctypes.byref(total))
    return (free.value, total.value) if total.value else (None, None)


def _get(what: str, *arguments: Any) -> Any:
    return function(f"ggml_backend_dev_{what}")(*arguments)
