"""What every part of a running comparison needs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from runner.compare.board import Board
from runner.compare.evidence import Evidence
from runner.compare.hardware import Hardware
from runner.compare.order import Order, Talk
from runner.compare.outlook import Outlook
from runner.wire.compare import ComparePlanned


@dataclass(frozen=True, slots=True)
class Task:
    """One comparison. `notes` are collected for its result, `outlook` knows what is left of it."""

    order: Order
    talk: Talk
    board: Board
    evidence: Evidence
    hardware: Hardware
    notes: list[str] = field(default_factory=list)
    outlook: Outlook = field(default_factory=Outlook)
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.started

    def note(self, *sentences: str) -> None:
        """For the result: once, although files of a hub are measured one after another."""
        self.notes.extend(each for each in sentences if each not in self.notes)

    def say_plan(self, resumed_blocks: int = 0) -> None:
        rows, reference = self.board.rows, self.board.reference
        self.talk.say(
            ComparePlanned(
                variants=rows, reference=reference, notes=self.notes, resumed_blocks=resumed_blocks
            )
        )
