"""macOS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runner.system.posix import limit_files


def limit_resources(memory_bytes: int) -> None:
    """Limit this process, for good: no core dumps, no files written.

    macOS accepts no limit on the address space, so `memory_bytes` cannot be enforced here; the parent's
    time limit bounds what a runaway child can take.
    """
    limit_files()


# llama.cpp's names and sysctl's: Apple silicon has a key for each, Intel Macs a list of words.
_ARM_KEYS = {
    "NEON": "hw.optional.AdvSIMD",
    "ARM_FMA": "hw.optional.AdvSIMD",
    "FP16_VA": "hw.optional.arm.FEAT_FP16",
    "DOTPROD": "hw.optional.arm.FEAT_DotProd",
    "MATMUL_INT8": "hw.optional.arm.FEAT_I8MM",
}
_INTEL_WORDS = {
    "SSE3": "SSE3",
    "SSSE3": "SSSE3",
    "AVX": "AVX1.0",
    "AVX2": "AVX2",
    "F16C": "F16C",
    "FMA": "FMA",
    "BMI2": "BMI2",
    "AVX512": "AVX512F",
}


def cpu_features() -> frozenset[str] | None:
    """Instruction sets of the CPU that llama.cpp can use, by llama.cpp's names; None if unknown."""
    words = _sysctl("machdep.cpu.features", "machdep.cpu.leaf7_features").split()
    intel = {name for name, word in _INTEL_WORDS.items() if word in words}
    arm = {name for name, key in _ARM_KEYS.items() if _sysctl(key) == "1"}
    return frozenset(intel | arm) or None


def cpu_model() -> str | None:
    return _sysctl("machdep.cpu.brand_string") or None


def _sysctl(*keys: str) -> str:
    """Values of the keys that exist."""
    done = subprocess.run(
        ["/usr/sbin/sysctl", "-n", *keys], capture_output=True, text=True, check=False, timeout=5
    )
    return done.stdout.strip()


def drop_from_memory(file: Path) -> float | None:
    """None: macOS has no way to forget what it has cached of a file but for administrators."""
    return None
