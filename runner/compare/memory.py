"""Memory of one variant: what its header predicts, and what it took when it ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from modelstore.fit import MemoryNeed, memory_need
from modelstore.header import Header
from modelstore.kv_types import KvTypes
from runner.compare.variant import Engine
from runner.errors import DoesNotFit
from runner.wire.compare import Memory

_CONTEXTS = (4096, 8192, 32768)
_METAL = "MTL"


def predicted(header: Header, engine: Engine) -> Memory:
    """Without anything measured. Other contexts are those that the model was trained for."""
    need = memory_with(header, engine, engine.context_length)
    longest = header.context_length or engine.context_length
    others = {tokens: memory_with(header, engine, tokens) for tokens in _CONTEXTS if tokens <= longest}
    return Memory(
        **asdict(need),
        total_bytes=need.total_bytes,
        reason="not loaded",
        at_context={tokens: other.total_bytes for tokens, other in others.items()},
        compute_at_context={tokens: other.compute_bytes for tokens, other in others.items()},
    )


def with_measured(memory: Memory, buffers: Sequence[Mapping[str, Any]], grown_bytes: int) -> Memory:
    """`memory` with what the engine took that has these `buffers`.

    That is how much the process grew, or what llama.cpp says that it allocated if that is more: some of it is
    used only when the context is full. To it comes what it allocated on GPUs; from it goes what it rearranged
    of the weights for this processor, whose originals are pages of the file that nobody reads again.
    """
    if any(each["device"].startswith(_METAL) for each in buffers):
        reason = (
            "not measurable here: macOS does not say which part of the memory shared with the GPU is whose"
        )
        return memory.model_copy(update={"reason": reason})
    on_cpu = sum(each["size_bytes"] for each in buffers if each["device"] == "CPU")
    on_gpus = sum(each["size_bytes"] for each in buffers) - on_cpu
    weights = sum(each["size_bytes"] for each in buffers if each["kind"] == "model")
    rearranged = max(0, weights - memory.weights_bytes)
    measured = max(grown_bytes, on_cpu) + on_gpus - rearranged
    return memory.model_copy(update={"measured_bytes": measured, "reason": None})


def ensure_fits(who: str, needed_bytes: int, free_bytes: float, hint: str) -> None:
    """Raises DoesNotFit, with both numbers."""
    if needed_bytes > free_bytes:
        why = f"{who} needs {needed_bytes / 1e9:.1f} GB, and {free_bytes / 1e9:.1f} GB are free"
        raise DoesNotFit(why, hint=hint)


def memory_with(header: Header, engine: Engine, context_length: int) -> MemoryNeed:
    """What the model takes that is run so, but for the context."""
    kv = KvTypes(engine.kv_type_k, engine.kv_type_v)
    flash_attention = engine.flash_attention is not False
    return memory_need(header, context_length, slots=1, kv=kv, flash_attention=flash_attention)
