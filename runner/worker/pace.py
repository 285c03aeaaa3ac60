"""How many prompt tokens a step may take while somebody generates: found by measuring steps.

A step lasts as long as its slowest part, so the prompt tokens in it are a pause for every stream that runs.
How long a token takes depends on the model, the machine and how full the context is.
"""

from __future__ import annotations

import math

FLASH_TILE_TOKENS = 64
"""llama.cpp's flash attention on CPUs computes so many rows together; fewer go one by one, and slower."""
PLAIN_TILE_TOKENS = 16
"""Without it every size will do; matrix products like multiples of 16."""
_NEWEST_WEIGHT = 0.3
# Tiles that may be missing: larger chunks take less for a token than what was measured of small ones, whose
# tiles threads share badly.
_MISSING_TILES = 0.25
# Where a step of those who generate takes long, they would leave a prompt no time.
_READING_SHARE = 3.0
# Pools of compute threads that share processors wake each other at each operation of a graph. That takes
# longer than what one thread alone adds to a short step.
_BRIEF_S = 0.05


class Pace:
    """Pure: measured steps in, chunk size out. Chunks are whole tiles."""

    def __init__(self, step_s: float, batch_tokens: int, tile_tokens: int = FLASH_TILE_TOKENS) -> None:
        """A chunk and the tokens between two of them should take `step_s` at most; 0 is no limit but the
        batch."""
        self._step_s = step_s
        self._batch_tokens = batch_tokens
        self._tile_tokens = tile_tokens
        self._decode_s: float | None = None
        self._token_s: float | None = None

    def observe(self, step_s: float, prompt_tokens: int, *, is_usual: bool = True) -> None:
        """A step lasted `step_s` with `prompt_tokens` tokens of prompts, or with 0 of them. Of one of these
        that is not as usual, only the first tells something."""
        if not prompt_tokens and (is_usual or self._decode_s is None):
            self._decode_s = _blend(self._decode_s, step_s)
        elif prompt_tokens >= self._tile_tokens:
            self._token_s = _blend(self._token_s, step_s / prompt_tokens)

    @property
    def rest_s(self) -> float:
        """How long a prompt that is read apart goes on between two steps of others; without a limit that is
        until its batch is decoded."""
        return max(self._step_s, _READING_SHARE * (self._decode_s or 0.0)) if self._step_s else math.inf

    def step_threads(self, threads: int) -> int:
        """With how many of `threads` to decode while a prompt that is read apart rests."""
        return 1 if self._decode_s is not None and self._decode_s * (threads - 1) < _BRIEF_S else threads

    @property
    def chunk_tokens(self) -> int:
        """Prompt tokens for a step while somebody generates."""
        if not self._step_s:
            return self._batch_tokens
        tiles = 1
        if self._token_s:
            affordable_s = self._step_s - (self._decode_s or 0.0)
            tiles = max(1, int(affordable_s / self._token_s / self._tile_tokens + _MISSING_TILES))
        return min(tiles * self._tile_tokens, self._batch_tokens)


def _blend(before: float | None, new: float) -> float:
    return new if before is None else before + _NEWEST_WEIGHT * (new - before)
