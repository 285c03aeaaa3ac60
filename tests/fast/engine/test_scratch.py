"""Scratch memory of ggml's kernels: where it begins."""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from pathlib import Path

import pytest

from native.binding import api
from native.linux_scratch import new_entries, table_entries
from native.llama import Model

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() != "x86_64",
    reason="a way that Linux has on x86-64",
)


def test_ggml_gets_memory_that_begins_with_a_page(model: Model) -> None:
    assert model.handle
    (entry,) = new_entries()
    assert entry.value
    take = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(entry.value)
    taken = [take(size) for size in (1_000, 1_000, 100_000, 3_000_000)]
    assert [address % mmap.PAGESIZE for address in taken] == [0, 0, 0, 0]
    for address in taken:
        ctypes.CDLL(None).free(ctypes.c_void_p(address))


def test_only_what_a_library_imports_has_an_entry() -> None:
    elf = (Path(api.__file__).parent / "lib" / "libggml-cpu.so").read_bytes()
    assert len(list(table_entries(elf, b"_Znam\0"))) == 1
    assert list(table_entries(elf, b"_Zn\0")) == list(table_entries(elf, b"no_such_function\0")) == []
    other_processor = elf[:18] + b"\xb7\0" + elf[20:]
    assert list(table_entries(other_processor, b"_Znam\0")) == list(table_entries(b"#!", b"_Znam\0")) == []
