"""How far back the memory of a kind of model goes: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class History:
    """Attention keeps every token and can be cut anywhere. Sliding windows keep the last `window` tokens, and
    recurrent state none: these go back only to checkpoints."""

    window: int | None = None
    is_recurrent: bool = False

    @property
    def is_whole(self) -> bool:
        return self.window is None and not self.is_recurrent

    def can_rewind(self, length: int, target: int, oldest: int | None = None) -> bool:
        """Whether a sequence of `length` tokens can be cut to its first `target`.

        `oldest` is the first position that every layer still has; None is what a saved state has.
        """
        if target == length or self.is_whole:
            return True
        if self.is_recurrent or self.window is None:
            return False
        # A saved state has the window of its last token; a token attends to window - 1 tokens before it.
        held = max(0, length - self.window) if oldest is None else oldest
        return held <= max(0, target + 1 - self.window)

    def reach(self, length: int, shared: int, checkpoints: Iterable[int], oldest: int | None = None) -> int:
        """How many of the first `shared` tokens of a sequence can be had: all, or up to a checkpoint."""
        if self.can_rewind(length, shared, oldest):
            return shared
        return max((taken for taken in checkpoints if taken <= shared), default=0)
