"""Which GPU backends the installed llama.cpp was built with, without loading it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_GPU_BACKENDS = ("cuda", "metal", "vulkan", "hip", "sycl", "musa", "opencl")


def gpu_backends() -> tuple[str, ...]:
    """Such as ("cuda",); empty for a CPU build. Names come from the library files beside the binding."""
    spec = importlib.util.find_spec("llama_cpp")
    roots = [Path(root) for root in (spec.submodule_search_locations or [])] if spec else []
    files = [
        file.name for root in roots for folder in ("lib", "bin") for file in (root / folder).glob("*ggml-*")
    ]
    return tuple(name for name in _GPU_BACKENDS if any(f"ggml-{name}" in file for file in files))
