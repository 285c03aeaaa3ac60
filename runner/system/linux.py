"""Linux."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from pathlib import Path

from runner.system.posix import limit_files, lower


def limit_resources(memory_bytes: int) -> None:
    """Limit this process, for good: address space; no core dumps, no files written.

    `memory_bytes` is on top of what the process has mapped now.
    """
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)
    limit_files()


# llama.cpp's names, and the flags of /proc/cpuinfo that each needs.
_FEATURES = {
    "SSE3": ("pni",),
    "SSSE3": ("ssse3",),
    "AVX": ("avx",),
    "AVX2": ("avx2",),
    "AVX_VNNI": ("avx_vnni",),
    "F16C": ("f16c",),
    "FMA": ("fma",),
    "BMI2": ("bmi2",),
    "AVX512": ("avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"),
    "AVX512_VBMI": ("avx512vbmi",),
    "AVX512_VNNI": ("avx512_vnni",),
    "AVX512_BF16": ("avx512_bf16",),
    "AMX_INT8": ("amx_tile", "amx_int8"),
    "NEON": ("asimd",),
    "ARM_FMA": ("asimd",),
    "FP16_VA": ("asimdhp",),
    "DOTPROD": ("asimddp",),
    "MATMUL_INT8": ("i8mm",),
    "SVE": ("sve",),
}


def cpu_features() -> frozenset[str] | None:
    """Instruction sets of the CPU that llama.cpp can use, by llama.cpp's names; None if unknown."""
    words = _cpuinfo("flags") or _cpuinfo("Features")
    if words is None:
        return None
    flags = set(words.split())
    return frozenset(name for name, needed in _FEATURES.items() if flags.issuperset(needed))


def cpu_model() -> str | None:
    return _cpuinfo("model name")


def _cpuinfo(key: str) -> str | None:
    """The first value of `key` in /proc/cpuinfo."""
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


# Pages that were used just now wait in lists of each processor, and are let go of a little later.
_DROPS = 10


def drop_from_memory(file: Path) -> float | None:
    """Forget what the system has cached of a file. The share that is still in memory, 0 to 1, since pages
    that a process has mapped stay; None where this cannot be done. Raises OSError."""
    with file.open("rb") as stream:
        # Only what is on the disk already can be dropped.
        os.fsync(stream.fileno())
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            for _ in range(_DROPS):
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                left = _share_in_memory(mapped)
                if not left:
                    break
        return left


def _share_in_memory(mapped: mmap.mmap) -> float:
    pages = -(-len(mapped) // mmap.PAGESIZE)
    states = (ctypes.c_ubyte * pages)()
    start = ctypes.c_char.from_buffer(mapped)
    failed = ctypes.CDLL(None, use_errno=True).mincore(
        ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(mapped)), states
    )
    # The map cannot be closed while something points into it.
    del start
    if failed:
        raise OSError(ctypes.get_errno(), "mincore failed")
    return sum(state & 1 for state in states) / pages
