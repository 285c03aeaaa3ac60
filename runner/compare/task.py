"""What every part of a running comparison needs: the rows as far as they are known, and the task itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modelstore.errors import NybbleError
from modelstore.header import Header, Tensor
from runner.compare.entry import Entry
from runner.compare.evidence import Evidence
from runner.compare.fetched import is_temporary
from runner.compare.hardware import Hardware
from runner.compare.order import Order, Say, Talk
from runner.compare.outlook import Outlook
from runner.compare.variant import Variant
from runner.text import clean_name
from runner.wire.compare import ComparePlanned, VariantMeasured, VariantResult

_INTERVAL_S = 0.5
# The table of tokens and the layer that makes logits of the last state: most of a small model.
_OUTSIDE = ("token_embd.", "output.", "per_layer_token_embd.")


class Board:
    """Owns the results; every change is said at once."""

    def __init__(self, say: Say, reference: str) -> None:
        self._say = say
        self.reference = reference
        self._rows: dict[str, VariantResult] = {}
        self._next_s = 0.0

    @property
    def rows(self) -> list[VariantResult]:
        """In the order of the plan."""
        return list(self._rows.values())

    def plan(self, entry: Entry) -> None:
        """A row of which nothing is known but what was promised; it is said with the plan."""
        self._rows[entry.name] = VariantResult(
            name=entry.name,
            digest="",
            quantization=entry.label,
            size_bytes=entry.size_bytes,
            is_reference=entry.name == self.reference,
            settings=entry.settings,
        )

    def refuse(self, name: str, error: NybbleError) -> None:
        """A row, if there is none, for what was asked for and cannot be had: why, and what helps."""
        self._rows.setdefault(name, VariantResult(name=name, digest="", size_bytes=0))
        self.problem(name, f"{error.message} ({error.hint})" if error.hint else error.message)

    def describe(self, variant: Variant, header: Header) -> None:
        self.update(
            variant.name,
            digest=variant.digest,
            tag=None if variant.tag and is_temporary(variant.tag) else variant.tag,
            size_bytes=variant.size_bytes,
            quantization=header.quantization,
            **contents(header),
        )

    def update(self, name: str, **fields: Any) -> None:
        self._rows[name] = self._rows[name].model_copy(update=fields)
        self._say(VariantMeasured(variant=self._rows[name]))

    def problem(self, name: str, problem: str) -> None:
        """Whoever shows it says whose it is."""
        shown = clean_name(name)
        problem = problem.removeprefix(f"{shown}: ").removeprefix(f"{shown} ")
        if problem not in (before := self._rows[name].problems):
            self.update(name, problems=[*before, problem])

    def is_due(self) -> bool:
        """Whether it is time for running figures again: they take a while to compute and to draw."""
        if time.monotonic() < self._next_s:
            return False
        self._next_s = time.monotonic() + _INTERVAL_S
        return True


def contents(header: Header) -> dict[str, Any]:
    """What a file really holds: labels alone say little. `bits_per_weight` counts all tensors, as llama.cpp
    does; `body_bits_per_weight` leaves out embeddings and output. `types` are bytes by ggml type, most
    first."""
    types: Counter[str] = Counter()
    for tensor in header.tensors:
        types[tensor.type] += tensor.size_bytes
    body = [tensor for tensor in header.tensors if not tensor.name.startswith(_OUTSIDE)]
    return {
        "bits_per_weight": _bits(header.tensors),
        "body_bits_per_weight": _bits(body),
        "types": dict(types.most_common()),
    }


def _bits(tensors: Sequence[Tensor]) -> float | None:
    weights = sum(tensor.weights for tensor in tensors)
    return 8 * sum(tensor.size_bytes for tensor in tensors) / weights if weights else None


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
