"""How to start a Python child of ours that may load llama.cpp: clean environment, isolated interpreter."""

from __future__ import annotations

import os
import sys

# What a native child may see: where libraries and devices are, and the locale. No tokens, no PYTHONPATH.
_PASSED = {
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TMP", "TEMP", "SYSTEMROOT", "WINDIR", "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES",
    "VK_ICD_FILENAMES", "VK_DRIVER_FILES", "HSA_OVERRIDE_GFX_VERSION", "XDG_RUNTIME_DIR",
    "GOMP_SPINCOUNT", "OMP_WAIT_POLICY",
}  # fmt: skip


def command(module: str, *arguments: str) -> list[str]:
    """Arguments that run `module` isolated: no working directory and no PYTHONPATH on the import path."""
    return [sys.executable, "-I", "-X", "utf8", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """What a child may see of this environment; ggml must not start a debugger (seconds) when it aborts."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in _PASSED}
    return kept | {"GGML_NO_BACKTRACE": "1"}
