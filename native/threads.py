"""The compute threads of a context, decided anew while the model runs."""

from __future__ import annotations

import sys
import time

import psutil

from native.embedding import EmbeddingContext
from native.llama import Context
from native.load import LOOK_S, Governor, sample


class Threads:
    """Keeps a context at the thread count that the machine has room for."""

    def __init__(self, context: Context | EmbeddingContext) -> None:
        self._context = context
        options = context.options
        self._most, self._most_in_prefill = options.threads, options.prefill_threads
        most = max(self._most, self._most_in_prefill)
        self._governor = Governor(most, psutil.cpu_count() or most)
        self._next_s = 0.0

    @property
    def has_room(self) -> bool:
        """Hardly anybody else computes, as far as was seen."""
        return self._governor.has_room

    def settle(self) -> None:
        """Look for long enough to know before anything is computed."""
        for _ in range(3):
            self.adapt()
            time.sleep(LOOK_S)

    def adapt(self, *, goes_on: bool = True) -> None:
        """Call before each step, and with `goes_on` False where none follows at once: looks at the machine a
        few times a second, and sets the context's threads."""
        now_s = time.monotonic()
        if now_s < self._next_s if goes_on else not self._next_s:
            return
        self._next_s = now_s + LOOK_S if goes_on else 0.0
        before = self._governor.threads
        threads = self._governor.observe(sample(), goes_on=goes_on)
        if threads != before:
            self._context.set_threads(min(self._most, threads), min(self._most_in_prefill, threads))
            sys.stderr.write(f"compute threads: {before} to {threads}\n")
