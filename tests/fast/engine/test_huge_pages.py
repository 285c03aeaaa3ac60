"""Weights in huge pages: the same numbers, and once in memory."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from native.linux_memory import collapse
from native.llama import Context, ContextOptions, Model
from tests.huge_pages import gives_huge_pages, huge_bytes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a way that Linux has")


def test_what_is_moved_is_the_same() -> None:
    size = 16 * 2**20
    # Where the system is set to `always`, memory has huge pages as soon as it is written to.
    before = huge_bytes()
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory[:] = words = os.urandom(size)
        pieces = sum(1 for _ in collapse(ctypes.addressof(ctypes.c_char.from_buffer(memory)), size))
        assert pieces in (7, 8)
        assert huge_bytes() - before >= gives_huge_pages() * 12 * 2**20
        assert memory[:] == words


def test_what_is_not_mapped_is_left_alone() -> None:
    before = huge_bytes()
    assert sum(1 for _ in collapse(mmap.PAGESIZE, 2**24)) == 7
    assert huge_bytes() == before


def test_a_model_on_the_cpu_moves_and_computes_the_same(smollm2: Path) -> None:
    before = huge_bytes()
    model = Model(smollm2, 0, in_memory=True)
    assert smollm2.name not in Path("/proc/self/maps").read_text(), "in memory twice"
    context = Context(model, ContextOptions(64, 1, 8, 1, 1))
    logits = []
    for _ in range(2):
        context.clear(0)
        context.batch.clear()
        context.batch.add(0, 0, [5, 6, 7], outputs=1)
        context.decode()
        logits.append(context.logits(2).copy())
        for _ in model.use_huge_pages():
            pass
    assert np.array_equal(*logits)
    assert huge_bytes() - before >= gives_huge_pages() * 0.8 * model.size_bytes
    model.close()
