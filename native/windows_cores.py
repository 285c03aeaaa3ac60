"""Windows' list of processor cores: how many are of the fast kind.

Layout and meaning are those of SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX in Microsoft's documentation.
"""

from __future__ import annotations

import ctypes

_RELATION_CORE = 0
_SIZE_AT, _EFFICIENCY_CLASS_AT = 4, 9


def performance_cores() -> int | None:
    """As `fast_cores` counts; None if Windows does not say."""
    ask = ctypes.WinDLL("kernel32").GetLogicalProcessorInformationEx  # type: ignore[attr-defined,unused-ignore]
    length = ctypes.c_ulong()
    ask(_RELATION_CORE, None, ctypes.byref(length))
    records = ctypes.create_string_buffer(length.value)
    return fast_cores(records.raw) if ask(_RELATION_CORE, records, ctypes.byref(length)) else None


def fast_cores(records: bytes) -> int | None:
    """Cores of the highest efficiency class, which Windows gives the fastest; None if all are of one. Each
    record is a core and says its own size in bytes."""
    classes, at = [], 0
    while at < len(records):
        classes.append(records[at + _EFFICIENCY_CLASS_AT])
        at += int.from_bytes(records[at + _SIZE_AT : at + 2 * _SIZE_AT], "little")
    return classes.count(max(classes)) if len(set(classes)) > 1 else None
