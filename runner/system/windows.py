"""Windows, through kernel32."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import signal
    import socket
    import subprocess
    import winreg
    from ctypes import wintypes
    from pathlib import Path
    from typing import Any

    import psutil

    def stop_signals() -> list[signal.Signals]:
        """Signals that ask a daemon to stop."""
        return [signal.SIGINT, signal.SIGTERM, signal.SIGBREAK]

    def detached_process_options() -> dict[str, Any]:
        """Options for subprocess.Popen: outlives this process and its console, and gets no Ctrl-C from it.

        An own invisible console rather than none: children of a process without console would each open a
        window.
        """
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}

    def claim_address(listener: socket.socket) -> None:
        """Before bind: refuse an address that another socket has, which Windows would share otherwise."""
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)

    _LIMIT_PROCESS_MEMORY = 0x0100
    _DIE_ON_UNHANDLED_EXCEPTION = 0x0400
    _EXTENDED_LIMIT_INFORMATION = 9

    class _BasicLimits(ctypes.Structure):
        _fields_ = (
            ("per_process_user_time_100ns", ctypes.c_int64),
            ("per_job_user_time_100ns", ctypes.c_int64),
            ("limit_flags", wintypes.DWORD),
            ("minimum_working_set_bytes", ctypes.c_size_t),
            ("maximum_working_set_bytes", ctypes.c_size_t),
            ("active_process_limit", wintypes.DWORD),
            ("affinity", ctypes.c_size_t),
            ("priority_class", wintypes.DWORD),
            ("scheduling_class", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        _fields_ = (
            ("basic", _BasicLimits),
            ("io_counters", ctypes.c_uint64 * 6),
            ("process_memory_bytes", ctypes.c_size_t),
            ("job_memory_bytes", ctypes.c_size_t),
            ("peak_process_memory_bytes", ctypes.c_size_t),
            ("peak_job_memory_bytes", ctypes.c_size_t),
        )

    def limit_resources(memory_bytes: int) -> None:
        """Limit this process, for good, by a job object: committed memory.

        `memory_bytes` is on top of what the process has committed now. Raises OSError.
        """
        limits = _ExtendedLimits()
        limits.basic.limit_flags = _LIMIT_PROCESS_MEMORY | _DIE_ON_UNHANDLED_EXCEPTION
        limits.process_memory_bytes = psutil.Process().memory_info().private + memory_bytes
        kernel = _kernel()
        job = kernel.CreateJobObjectW(None, None)
        done = (
            job
            and kernel.SetInformationJobObject(
                job, _EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
            )
            and kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess())
        )
        if not done:
            raise ctypes.WinError(ctypes.get_last_error())

    def _kernel() -> ctypes.WinDLL:
        """kernel32 with the argument types that 64-bit handles need."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
        kernel.CreateJobObjectW.restype = wintypes.HANDLE
        kernel.SetInformationJobObject.argtypes = (
            wintypes.HANDLE,
            ctypes.c_int,
            wintypes.LPVOID,
            wintypes.DWORD,
        )
        kernel.SetInformationJobObject.restype = wintypes.BOOL
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
        kernel.AssignProcessToJobObject.restype = wintypes.BOOL
        return kernel

    # Numbers of IsProcessorFeaturePresent; it has none for FMA, F16C and the newer AVX-512 parts.
    _FEATURES = {"SSE3": 13, "SSSE3": 36, "AVX": 39, "AVX2": 40, "AVX512": 41, "NEON": 19, "DOTPROD": 43}

    def cpu_features() -> frozenset[str] | None:
        """Instruction sets of the CPU that llama.cpp can use, as far as Windows tells; None if unknown."""
        present = ctypes.WinDLL("kernel32").IsProcessorFeaturePresent
        return frozenset(name for name, number in _FEATURES.items() if present(number)) or None

    def cpu_model() -> str | None:
        path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip() or None

    def drop_from_memory(file: Path) -> float | None:
        """None: Windows has no way to forget what it has cached of a file but for administrators."""
        return None
