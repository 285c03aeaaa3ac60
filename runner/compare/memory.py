"""Memory of one variant: what its header predicts, and what a real load took."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

from modelstore.blobs import open_regular
from modelstore.fit import MemoryNeed, memory_need
from modelstore.gguf import read_header
from modelstore.header import Header
from modelstore.kv_types import KvTypes
from runner.bench.plan import Test
from runner.compare.timed import TimedEngine
from runner.compare.variant import Engine, Variant
from runner.errors import WorkerFailed
from runner.wire.compare import Memory

_CONTEXTS = (4096, 8192, 32768)
# Fills the buffers that one step needs.
_STEP = Test(512, 0, 0)
_METAL = "MTL"


def measure_memory(variant: Variant, cancelled: Event) -> Memory:
    """Load the variant at its context and look. Raises Unusable for a file that cannot be loaded,
    InvalidModel and progress.Cancelled."""
    header = header_of(variant)
    try:
        with TimedEngine.running(variant, None, cancelled) as engine:
            engine.seconds(_STEP)
            decided = replace(variant.engine, flash_attention=engine.loaded["flash_attention"])
            return with_measured(predicted(header, decided), engine)
    except WorkerFailed as error:
        reason = f"not measured: {error.message}"
        return predicted(header, variant.engine).model_copy(update={"reason": reason})


def header_of(variant: Variant) -> Header:
    """Raises InvalidModel, or NotFound if the file is gone."""
    with open_regular(variant.path) as stream:
        return read_header(stream, variant.size_bytes)


def predicted(header: Header, engine: Engine) -> Memory:
    """Without anything measured. Other contexts are those that the model was trained for."""
    need = _need(header, engine, engine.context_length)
    longest = header.context_length or engine.context_length
    others = {tokens: _need(header, engine, tokens) for tokens in _CONTEXTS if tokens <= longest}
    return Memory(
        weights_bytes=need.weights_bytes,
        kv_bytes=need.kv_bytes,
        compute_bytes=need.compute_bytes,
        total_bytes=need.total_bytes,
        reason="not loaded",
        at_context={tokens: other.total_bytes for tokens, other in others.items()},
        compute_at_context={tokens: other.compute_bytes for tokens, other in others.items()},
    )


def with_measured(memory: Memory, engine: TimedEngine) -> Memory:
    """`memory` with what the engine's first load took, after a whole step.

    That is how much the process grew, or what llama.cpp says that it allocated if that is more: some of it is
    used only when the context is full. To it comes what it allocated on GPUs; from it goes what it rearranged
    of the weights for this processor, whose originals are pages of the file that nobody reads again.
    """
    buffers = engine.loaded["buffers"]
    if any(each["device"].startswith(_METAL) for each in buffers):
        reason = (
            "not measurable here: macOS does not say which part of the memory shared with the GPU is whose"
        )
        return memory.model_copy(update={"reason": reason})
    on_cpu = sum(each["size_bytes"] for each in buffers if each["device"] == "CPU")
    on_gpus = sum(each["size_bytes"] for each in buffers) - on_cpu
    weights = sum(each["size_bytes"] for each in buffers if each["kind"] == "model")
    rearranged = max(0, weights - memory.weights_bytes)
    measured = max(engine.grown_bytes(), on_cpu) + on_gpus - rearranged
    return memory.model_copy(update={"measured_bytes": measured, "reason": None})


def _need(header: Header, engine: Engine, context_length: int) -> MemoryNeed:
    kv = KvTypes(engine.kv_type_k, engine.kv_type_v)
    flash_attention = engine.flash_attention is not False
    return memory_need(header, context_length, slots=1, kv=kv, flash_attention=flash_attention)
