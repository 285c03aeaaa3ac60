"""Linux: memory that the kernel clears before somebody writes to it, and huge pages for what is there.

Fresh memory is cleared a page at a time, when it is first written to, and the program waits for each. Asked
for many pages at once the kernel needs half as long, and another thread can ask. Huge pages would be faster
still where enough are free, but ten times slower where the kernel first has to make them: they can wait until
there is time.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from pathlib import Path

# Since Linux 5.14; older ones refuse it, and pages come as they are written to.
_MADV_POPULATE_WRITE = 23
# Meanwhile no thread can map anything: a millisecond.
_PIECE_BYTES = 4 * 2**20
# Since Linux 6.1; older ones refuse it, and pages stay as they are.
_MADV_COLLAPSE = 25
# With pages of 4 KiB. With larger ones huge pages are larger, too, and this is refused.
_HUGE_PAGE_BYTES = 2 * 2**20


def mappings() -> dict[int, int]:
    """Start and bytes of each mapping of this process that can be written to and is of no file. Those side by
    side can be one."""
    rows = (row.split() for row in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines())
    bounds = (row[0].split("-") for row in rows if len(row) == 5 and row[1] == "rw-p")
    return {int(start, 16): int(end, 16) - int(start, 16) for start, end in bounds}


def populate_fresh(before: dict[int, int], least_bytes: int) -> dict[int, int]:
    """`populate`, in other threads, what has come to `mappings()` since `before` and has so many bytes.
    Returns what is there now."""
    now = mappings()
    for start in [each for each in now.keys() - before.keys() if now[each] >= least_bytes]:
        threading.Thread(target=populate, args=(start, now[start]), daemon=True).start()
    return now


def populate(start: int, size_bytes: int) -> None:
    """Have the kernel back memory from its end down, since who fills it begins at its start. What is written
    there meanwhile stays; it ends where nothing is mapped."""
    madvise = ctypes.CDLL(None).madvise
    for at in reversed(range(start, start + size_bytes, _PIECE_BYTES)):
        length = min(_PIECE_BYTES, start + size_bytes - at)
        if madvise(ctypes.c_void_p(at), ctypes.c_size_t(length), _MADV_POPULATE_WRITE):
            return


def collapse(start: int, size_bytes: int) -> Iterator[None]:
    """Copy what is there into huge pages, one at each step: 0.2 ms, or up to 5 if the kernel has to make it.
    It stays as it is where the kernel has none. Others may read it meanwhile."""
    madvise = ctypes.CDLL(None).madvise
    first = -(-start // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    for at in range(first, start + size_bytes - _HUGE_PAGE_BYTES + 1, _HUGE_PAGE_BYTES):
        madvise(ctypes.c_void_p(at), ctypes.c_size_t(_HUGE_PAGE_BYTES), _MADV_COLLAPSE)
        yield
