"""A KV cache is cleared by two threads where the system can: most of what loading a small model takes."""

from __future__ import annotations

import sys

from native.linux_memory import mappings, populate_fresh
from native.log import Log
from native.offload import buffers

# Smaller ones are cleared before another thread runs.
_LEAST_BYTES = 32 * 2**20


class CacheLog(Log):
    """llama.cpp logs the size of a KV cache when it has the memory, right before it fills it with zeros, and
    that of the output buffer a little earlier: what was mapped between is the cache."""

    def __init__(self) -> None:
        self._mapped: dict[int, int] = {}
        super().__init__()

    def _on_line(self, level: int, text: bytes, user_data: object) -> None:
        super()._on_line(level, text, user_data)
        if sys.platform == "linux":
            for buffer in buffers([text.decode("utf-8", "replace")]):
                if buffer.kind == "output":
                    self._mapped = mappings()
                elif buffer.kind == "KV" and not buffer.is_on_gpu:
                    self._mapped = populate_fresh(self._mapped, _LEAST_BYTES)
