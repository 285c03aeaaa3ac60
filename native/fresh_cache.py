"""A KV cache is cleared by two threads where the system can: most of what loading a small model takes."""

from __future__ import annotations

import sys
import threading

from native.linux_memory import mappings, populate
from native.log import Log
from native.offload import buffers

# Smaller ones are cleared before another thread runs, and may share a mapping.
_LEAST_BYTES = 32 * 2**20
# llama.cpp prints hundredths of a MiB.
_ROUNDING_BYTES = 2**20 // 100


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
                elif buffer.kind == "KV" and not buffer.is_on_gpu and buffer.size_bytes > _LEAST_BYTES:
                    self._populate(buffer.size_bytes - _ROUNDING_BYTES)

    def _populate(self, size_bytes: int) -> None:
        before, self._mapped = self._mapped, mappings()
        fresh = [start for start in self._mapped.keys() - before if self._mapped[start] >= size_bytes]
        for start in fresh:
            threading.Thread(target=populate, args=(start, size_bytes), daemon=True).start()
