"""What of a variant takes part in a decision."""

from __future__ import annotations

from runner.compare.lineup import lineup
from runner.compare.vary import CONTEXT_LENGTH
from runner.wire.compare import VariantResult
from tests.fast.compare.fixtures import GIB, LADDER, variant, wish


def test_what_runs_in_its_own_context_takes_its_memory_in_every_other() -> None:
    usual = variant(LADDER[0])
    assert usual.memory is not None
    total_bytes = usual.memory.at_context[32768]
    memory = usual.memory.model_copy(update={"total_bytes": total_bytes, "measured_bytes": total_bytes + GIB})
    settings = {CONTEXT_LENGTH: "32768"}
    long = usual.model_copy(update={"name": "long", "settings": settings, "memory": memory})
    assert taken(usual) == sorted(taken(usual)) and taken(usual)[0] < total_bytes
    assert taken(long) == [total_bytes + GIB] * 3


def taken(row: VariantResult) -> list[int]:
    """Bytes in contexts of 4,096, 8,192 and 65,536 tokens."""
    (candidate,) = lineup([row], [], wish("balanced", 16)).candidates
    return [candidate.footprint_bytes(tokens) for tokens in (4096, 8192, 65536)]
