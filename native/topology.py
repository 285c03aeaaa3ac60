"""Processor cores and main memory that this process may use: affinity and container limits count."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from native import windows_cores
from native.snapshot import Memory

_CPUS = Path("/sys/devices/system/cpu")
# Only where a processor has two kinds of core.
_INTEL_FAST_CPUS = Path("/sys/devices/cpu_core/cpus")
_CGROUPS = Path("/sys/fs/cgroup")
# Version 1 writes "no limit" as a number near 2**63.
_NO_LIMIT = 2**60


def physical_cores() -> int:
    """Cores without hyper-threads, at least 1."""
    allowed = _allowed_cpus()
    cores = _cores(allowed) or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    quota = _cpu_quota()
    limits = [cores, len(allowed)] if allowed else [cores]
    if quota is not None:
        limits.append(int(quota))
    return max(1, min(limits))


def performance_cores() -> int | None:
    """Fast physical cores where the processor has two kinds of core; None if it has one, or unknown."""
    if sys.platform == "win32":
        return windows_cores.performance_cores()
    allowed = _allowed_cpus()
    if intel := _read(_INTEL_FAST_CPUS):
        fast = cpus_of(intel).intersection(allowed)
        return _cores(list(fast)) if 0 < len(fast) < len(allowed) else None
    capacities = {cpu: _number(_CPUS / f"cpu{cpu}" / "cpu_capacity") for cpu in allowed}
    known = {cpu: capacity for cpu, capacity in capacities.items() if capacity is not None}
    if len(set(known.values())) > 1:
        return _cores([cpu for cpu, capacity in known.items() if capacity == max(known.values())])
    return _apple_performance_cores()


def cpus_of(listing: str) -> set[int]:
    """Logical CPUs of a list as Linux writes it: "0-7,16"."""
    bounds = [part.partition("-") for part in listing.split(",")]
    return {cpu for first, _, last in bounds for cpu in range(int(first), int(last or first) + 1)}


def memory() -> Memory:
    machine = psutil.virtual_memory()
    limit, used = _memory_limit()
    if limit is None or limit >= machine.total:
        return Memory(machine.total, machine.available)
    return Memory(limit, max(0, min(machine.available, limit - used)))


def _allowed_cpus() -> list[int]:
    """Logical CPUs this process may run on; empty if the system does not say."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)
    return list(affinity()) if affinity is not None else []


def _cores(cpus: list[int]) -> int | None:
    """Different cores among logical `cpus`, by Linux's topology files; None elsewhere."""
    folders = [_CPUS / f"cpu{cpu}" / "topology" for cpu in cpus]
    keys = {
        (_number(f / "physical_package_id"), _number(f / "die_id"), _number(f / "core_id")) for f in folders
    }
    return len(keys) if keys and all(core is not None for _, _, core in keys) else None


def _cpu_quota() -> float | None:
    """Processors' worth of time that the container may use."""
    for folder in _cgroup_folders(""):
        if (text := _read(folder / "cpu.max")) and not text.startswith("max"):
            quota, period = text.split()
            return int(quota) / int(period)
    for folder in _cgroup_folders("cpu"):
        quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota_us and period_us and quota_us > 0:
            return quota_us / period_us
    return None


def _memory_limit() -> tuple[int | None, int]:
    """The tightest container limit and what of it is used, without the file cache; bytes."""
    found: list[tuple[int, int]] = []
    for controller, limit_name, used_name, cache_key in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _cgroup_folders(controller):
            limit, used = _number(folder / limit_name), _number(folder / used_name)
            if limit is not None and used is not None and limit < _NO_LIMIT:
                found.append((limit, max(0, used - _stat(folder / "memory.stat", cache_key))))
    return min(found, key=lambda pair: pair[0] - pair[1], default=(None, 0))


def _cgroup_folders(controller: str) -> list[Path]:
    """This process's control group and those around it. `controller` is empty for version 2."""
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            root = _CGROUPS / controllers
            own = root / path.lstrip("/")
            return [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return []


def _stat(file: Path, key: str) -> int:
    for line in (_read(file) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def _apple_performance_cores() -> int | None:
    if (sysctl := shutil.which("sysctl")) is None:
        return None
    command = [sysctl, "-n", "hw.perflevel0.physicalcpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdigit() else None


def _number(file: Path) -> int | None:
    text = _read(file)
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def _read(file: Path) -> str | None:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return None
