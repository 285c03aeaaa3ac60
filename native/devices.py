"""The devices ggml can compute on, through ctypes: the binding covers llama.cpp, but not ggml."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

from native import topology
from native.snapshot import Device, DeviceKind

_KINDS: dict[int, DeviceKind] = {0: "cpu", 1: "gpu", 2: "igpu", 3: "accel"}


def devices() -> tuple[Device, ...]:
    """All devices, in ggml's order. Loads llama.cpp's libraries: call it in a child only."""
    ggml = _ggml()
    handles = [ggml["ggml_backend_dev_get"](index) for index in range(ggml["ggml_backend_dev_count"]())]
    kinds = [(handle, _KINDS.get(ggml["ggml_backend_dev_type"](handle))) for handle in handles]
    return tuple(_device(handle, kind) for handle, kind in kinds if kind is not None)


def _device(handle: int, kind: DeviceKind) -> Device:
    ggml = _ggml()
    name: bytes = ggml["ggml_backend_dev_name"](handle)
    description: bytes = ggml["ggml_backend_dev_description"](handle)
    free_bytes, total_bytes = _memory(handle, kind)
    return Device(
        name.decode("utf-8", "replace"),
        description.decode("utf-8", "replace").strip(),
        kind,
        free_bytes,
        total_bytes,
    )


def _memory(handle: int, kind: DeviceKind) -> tuple[int | None, int | None]:
    """Free and total bytes. ggml reports 0 for what it does not know, and a CPU as wholly free."""
    if kind == "cpu":
        main = topology.memory()
        return main.available_bytes, main.total_bytes
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _ggml()["ggml_backend_dev_memory"](handle, ctypes.byref(free), ctypes.byref(total))
    return (free.value, total.value) if total.value else (None, None)


@cache
def _ggml() -> dict[str, Callable[..., Any]]:
    """The functions by name. libggml has the device list, libggml-base what is known of a device."""
    from llama_cpp._ctypes_extensions import load_shared_library
    from llama_cpp._ggml import libggml, libggml_base_path

    base = load_shared_library("ggml-base", libggml_base_path)
    handle, size_pointer = ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)
    signatures = (
        (libggml, "ggml_backend_dev_count", ctypes.c_size_t, ()),
        (libggml, "ggml_backend_dev_get", handle, (ctypes.c_size_t,)),
        (base, "ggml_backend_dev_name", ctypes.c_char_p, (handle,)),
        (base, "ggml_backend_dev_description", ctypes.c_char_p, (handle,)),
        (base, "ggml_backend_dev_type", ctypes.c_int, (handle,)),
        (base, "ggml_backend_dev_memory", None, (handle, size_pointer, size_pointer)),
    )
    functions = {}
    for library, name, result, arguments in signatures:
        functions[name] = getattr(library, name)
        functions[name].restype, functions[name].argtypes = result, arguments
    return functions
