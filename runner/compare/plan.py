"""How much is measured, and which models are loaded together: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelstore.header import Header
from runner.compare.memory import memory_with
from runner.compare.variant import Engine, Variant
from runner.wire.compare import CompareRequest, Effort

SCORING_CONTEXT = 1024
"""Room for the longest block, in tokens."""

CHUNKS: Mapping[Effort, int] = {"quick": 16, "standard": 64, "deep": 256}
"""Of 255 scored tokens each: enough for ranks, for neighbours like S and M, for tails."""

LEAST_TOKENS = 8 * 255
"""Scored even where the ranking is settled before: figures beside the ranking need them, too."""

_LEAST_EXCERPTS = 4
_FLOAT_BYTES = 4
_LOGITS_TOKENS = 512


EXERCISE_TOKENS = 64
"""Of an answer to one of them, at most."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Greedy answers: to `prompts`, cut at `max_tokens`, and to `exercises`, which take few tokens."""

    prompts: int
    max_tokens: int
    exercises: int


ANSWERING: Mapping[Effort, Answering] = {
    "quick": Answering(3, 64, 3),
    "standard": Answering(16, 256, 30),
    "deep": Answering(40, 256, 120),
}


def chunks(request: CompareRequest) -> int:
    return request.chunks or CHUNKS[request.effort]


def excerpts(request: CompareRequest) -> int:
    """Of text that no model wrote, beside the reference's own answers."""
    return max(_LEAST_EXCERPTS, chunks(request) * 3 // 8)


@dataclass(frozen=True, slots=True)
class Pass:
    """Models loaded together. Without the reference the one candidate is scored against its record."""

    candidates: tuple[Variant, ...]
    has_reference: bool


def for_scoring(variant: Variant) -> Variant:
    return replace(variant, engine=replace(variant.engine, context_length=SCORING_CONTEXT))


def scoring_bytes(header: Header, engine: Engine) -> int:
    """Memory of one model while blocks are scored."""
    logits = _LOGITS_TOKENS * (header.vocabulary_size or 0) * _FLOAT_BYTES
    return memory_with(header, engine, SCORING_CONTEXT).total_bytes + logits


def passes(
    reference_bytes: int, candidates: Mapping[Variant, int], free_bytes: int
) -> tuple[list[Pass], list[Variant]]:
    """As few as memory allows: one pass of the reference serves all that fit beside it (first fit, in order).
    Then what does not fit even alone. Values are bytes."""
    beside = free_bytes - reference_bytes
    together: list[list[Variant]] = []
    left: list[int] = []
    alone, too_large = [], []
    for variant, needed in candidates.items():
        place = next((i for i, room in enumerate(left) if room >= needed), None)
        if place is not None:
            together[place].append(variant)
            left[place] -= needed
        elif needed <= beside:
            together.append([variant])
            left.append(beside - needed)
        elif needed <= free_bytes:
            alone.append(Pass((variant,), has_reference=False))
        else:
            too_large.append(variant)
    return [*(Pass(tuple(each), has_reference=True) for each in together), *alone], too_large
