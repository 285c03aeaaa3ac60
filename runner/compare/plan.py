"""How much is measured, and which models are loaded together: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modelstore.fit import memory_need
from modelstore.header import Header
from modelstore.kv_types import KvTypes
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


_ANSWERS: Mapping[Effort, Answering] = {
    "quick": Answering(3, 64, 3),
    "standard": Answering(16, 256, 30),
    "deep": Answering(40, 256, 120),
}


def chunks(request: CompareRequest) -> int:
    return request.chunks or CHUNKS[request.effort]


def excerpts(request: CompareRequest) -> int:
    """Of text that no model wrote, beside the reference's own answers."""
    return max(_LEAST_EXCERPTS, chunks(request) * 3 // 8)


def answering(request: CompareRequest) -> Answering:
    return _ANSWERS[request.effort]


@dataclass(frozen=True, slots=True)
class Pass:
    """Models loaded together. Without the reference the one candidate is scored against its record.
    `may_stop`: a settled ranking ends the scoring, for no other pass must score the same text."""

    candidates: tuple[str, ...]
    has_reference: bool
    may_stop: bool = False


@dataclass(frozen=True, slots=True)
class Passes:
    """`too_large` are candidates that do not fit even alone, with the bytes each takes."""

    passes: tuple[Pass, ...]
    too_large: Mapping[str, int]


def for_scoring(variant: Variant) -> Variant:
    return replace(variant, engine=replace(variant.engine, context_length=SCORING_CONTEXT))


def scoring_bytes(header: Header, engine: Engine) -> int:
    """Memory of one model while blocks are scored."""
    kv = KvTypes(engine.kv_type_k, engine.kv_type_v)
    flash_attention = engine.flash_attention is not False
    need = memory_need(header, SCORING_CONTEXT, slots=1, kv=kv, flash_attention=flash_attention)
    return need.total_bytes + _LOGITS_TOKENS * (header.vocabulary_size or 0) * _FLOAT_BYTES


def passes(reference_bytes: int, candidates: Mapping[str, int], free_bytes: int) -> Passes:
    """As few as memory allows: one pass of the reference serves all that fit beside it (first fit, in order).
    Values are bytes by name."""
    beside = free_bytes - reference_bytes
    together: list[list[str]] = []
    left: list[int] = []
    alone, too_large = [], {}
    for name, needed in candidates.items():
        place = next((i for i, room in enumerate(left) if room >= needed), None)
        if place is not None:
            together[place].append(name)
            left[place] -= needed
        elif needed <= beside:
            together.append([name])
            left.append(beside - needed)
        elif needed <= free_bytes:
            alone.append(name)
        else:
            too_large[name] = needed
    lock_step = [Pass(tuple(names), True) for names in together]
    return Passes((*lock_step, *(Pass((name,), False) for name in alone)), too_large)


def split(failed: Pass) -> Sequence[Pass]:
    """To find which of several broke a pass."""
    return [Pass((name,), failed.has_reference) for name in failed.candidates]
