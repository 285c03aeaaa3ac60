"""A sequence that was copied out of its slot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.worker.prefix.history import History
from runner.worker.prefix.index import TOKEN_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """The partial state of a sequence when it was `length` tokens long."""

    length: int
    state: bytearray


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """`tokens`, the state behind all of them, and the checkpoints on the way there."""

    tokens: bytes
    state: bytearray
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def length(self) -> int:
        return len(self.tokens) // TOKEN_BYTES

    @property
    def size_bytes(self) -> int:
        return len(self.tokens) + len(self.state) + sum(len(each.state) for each in self.checkpoints)

    def with_states(self, change: Callable[[bytearray], bytearray]) -> Snapshot:
        checkpoints = tuple(Checkpoint(each.length, change(each.state)) for each in self.checkpoints)
        return Snapshot(self.tokens, change(self.state), checkpoints)

    def reach(self, history: History, shared: int) -> int:
        """How many of `shared` tokens a slot has after taking this."""
        return history.reach(self.length, shared, (each.length for each in self.checkpoints))
