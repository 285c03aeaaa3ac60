"""Fresh memory, cleared before somebody waits for it: counted in page faults, which take the time."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path

import pytest

from native.linux_memory import populate
from native.llama import Model
from runner.protocol import Load
from runner.worker.loading import load

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a way that Linux has")


def faults() -> int:
    """Of this thread, so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def test_what_is_populated_needs_no_faults_and_what_was_written_stays() -> None:
    pages = 16_000
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE) as memory:
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        memory[: mmap.PAGESIZE] = words = b"written before".ljust(mmap.PAGESIZE)
        populate(start, len(memory))
        taken = faults()
        memory[mmap.PAGESIZE :: mmap.PAGESIZE] = bytes([1]) * (pages - 1)
        assert faults() - taken < pages // 100
        assert memory[: mmap.PAGESIZE] == words


def test_what_is_not_mapped_is_left_alone() -> None:
    taken = faults()
    populate(mmap.PAGESIZE, 2**26)
    assert faults() - taken < 100


def test_a_load_leaves_most_of_its_cache_to_another_thread(tiny_model: Path) -> None:
    # 256 MiB of cache.
    command = Load(str(tiny_model), 32_768, 8, 0, 1, 1, kv_type_k="f32", kv_type_v="f32")
    before = faults()
    loaded = load(command, lambda _event: None)
    taken = faults() - before
    loaded.close()
    assert taken < 2**28 // mmap.PAGESIZE


def test_reading_weights_leaves_most_of_their_memory_to_another_thread(smollm2: Path) -> None:
    before = faults()
    model = Model(smollm2, 0, in_memory=True)
    taken = faults() - before
    size_bytes = model.size_bytes
    model.close()
    assert taken < size_bytes // mmap.PAGESIZE
