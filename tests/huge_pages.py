"""What Linux says of huge pages; elsewhere there are none."""

from __future__ import annotations

import mmap
import platform
import sys
from pathlib import Path

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def gives_huge_pages() -> bool:
    """Whether this kernel does when it is asked."""
    if not (sys.platform.startswith("linux") and _SETTING.exists() and mmap.PAGESIZE == 4096):
        return False
    return tuple(int(part) for part in platform.release().split(".")[:2]) >= (6, 1)


def huge_bytes(process: int | str = "self") -> int:
    """What a process has in huge pages now."""
    rows = Path(f"/proc/{process}/smaps_rollup")
    if not gives_huge_pages():
        return 0
    return next(int(row.split()[1]) * 1024 for row in rows.read_text().splitlines() if "AnonHuge" in row)
