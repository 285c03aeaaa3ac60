"""How much memory a model needs, from its header alone: arithmetic, so that it works before a download.

It follows what llama.cpp allocates with one KV stream per slot. Where a header leaves room for doubt the
result is too large rather than too small.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstore.header import Header
from modelstore.kv_types import F16, KvTypes

# What the worker decodes at most in one step.
BATCH_TOKENS = 512

_CACHE_STEP_TOKENS = 256
# As workers do: what plain attention makes of one micro-batch.
_PLAIN_SCORES_BYTES = 128 * 2**20
_PLAIN_MICRO_BATCH_TOKENS = 128
_FLOAT_BYTES = 4
_MASK_BYTES = 2

# As `native.embedding` has them.
_EMBEDDING_LOGITS_BYTES = 128 * 2**20
_SHORTEST_PART_TOKENS = 64

# Layers that slide: all but the last of each group of so many, or but the first where `True` stands. Many
# files leave this to the architecture, and those of two architectures the window as well.
_WINDOW_GROUPS = {
    "afmoe": (4, False), "cohere2": (4, False), "cohere2moe": (4, True), "exaone-moe": (4, False),
    "gemma2": (2, False), "gemma3": (6, False), "gemma3n": (5, False), "gpt-oss": (2, False),
    "llama4": (4, False), "mellum": (4, False), "olmo2": (4, False), "plamo3": (8, False),
    "smallthinker": (4, True),
}  # fmt: skip
_DEFAULT_WINDOWS = {"gemma2": 4096, "llama4": 8192}


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.compute_bytes


def memory_need(
    header: Header, context_length: int, slots: int, kv: KvTypes = F16, flash_attention: bool = True
) -> MemoryNeed:
    """Memory of a loaded model with `slots` sequences of `context_length` tokens each."""
    if header.is_encoder:
        return embedding_need(header, context_length, slots)
    return MemoryNeed(
        header.weights_bytes,
        kv_cache_bytes(header, context_length, slots, kv),
        _compute_bytes(header, context_length, slots, BATCH_TOKENS, flash_attention),
    )


def embedding_need(header: Header, context_length: int, texts: int) -> MemoryNeed:
    """Memory of a model loaded to embed `texts` together, of at most `context_length` tokens each.

    An encoder reads a text in one step, and llama.cpp keeps room for logits that it does not compute. Another
    model reads parts; its one KV cache holds a text and a part, and it computes logits for all tokens of the
    part, which keeps the parts of large vocabularies small.
    """
    logits_bytes = _FLOAT_BYTES * (header.vocabulary_size or 1)
    if header.is_encoder:
        compute_bytes = _compute_bytes(header, context_length, 0, context_length)
        return MemoryNeed(header.weights_bytes, 0, compute_bytes + context_length * logits_bytes)
    affordable = _EMBEDDING_LOGITS_BYTES // logits_bytes
    part = min(BATCH_TOKENS, max(_SHORTEST_PART_TOKENS, affordable))
    return MemoryNeed(
        header.weights_bytes,
        kv_cache_bytes(header, context_length + part, 1) + recurrent_bytes(header, texts - 1),
        _compute_bytes(header, context_length + part, part, part),
    )


def kv_cache_bytes(header: Header, context_length: int, slots: int, kv: KvTypes = F16) -> int:
    """Keys, values and recurrent states of all slots."""
    full_cells, window_cells = _cells(header, context_length, BATCH_TOKENS)
    slides = _sliding_layers(header)
    _, attending = _layer_kinds(header)
    total = 0.0
    for layer in attending:
        sliding = layer < len(slides) and slides[layer]
        total += (window_cells if sliding else full_cells) * _row_bytes(header, layer, sliding, kv)
    return slots * int(total) + recurrent_bytes(header, slots)


def recurrent_bytes(header: Header, slots: int) -> int:
    """Recurrent states of all slots."""
    recurrent, _ = _layer_kinds(header)
    return slots * len(recurrent) * _state_bytes(header)


def _layer_kinds(header: Header) -> tuple[set[int], set[int]]:
    """Layers with a recurrent state, and layers with a KV cache; some have both."""
    recurrent, separate_keys = set(), set()
    for tensor in header.tensors:
        prefix, _, rest = tensor.name.partition(".")
        number, _, part = rest.partition(".")
        if prefix != "blk" or not number.isdecimal():
            continue
        if part.startswith(("ssm_", "time_mix_", "shortconv")):
            recurrent.add(int(number))
        elif part.startswith("attn_k"):
            separate_keys.add(int(number))
    cached = (header.block_count or 0) - _shared_layers(header)
    attending = {layer for layer in range(cached) if layer not in recurrent or layer in separate_keys}
    return recurrent, attending


def _shared_layers(header: Header) -> int:
    """Layers at the end that read an earlier layer's cache."""
    if header.architecture == "gemma3n":
        return max(0, (header.block_count or 0) - 20)
    return header.integer("{}.attention.shared_kv_layers") or 0


def _row_bytes(header: Header, layer: int, sliding: bool, kv: KvTypes) -> float:
    """What is cached for one token in one layer."""
    heads = header.head_count_kv
    key_length, value_length = header.key_length or 0, header.value_length or 0
    if sliding:
        key_length = header.integer("{}.attention.key_length_swa") or key_length
        value_length = header.integer("{}.attention.value_length_swa") or value_length
    return (heads[layer] if heads else 0) * (key_length * kv.k_bytes + value_length * kv.v_bytes)


def _sliding_layers(header: Header) -> tuple[bool, ...]:
    """For each layer whether it looks back on the window only; empty if none does."""
    stated = header.metadata.get(f"{header.architecture}.attention.sliding_window_pattern")
    if isinstance(stated, tuple):
        return tuple(bool(item) for item in stated)
    period, full_first = _WINDOW_GROUPS.get(header.architecture, (0, False))
    if isinstance(stated, int) and stated > 0:
        period = stated
    if not period:
        return ()
    full = 0 if full_first else period - 1
    return tuple(layer % period != full for layer in range(header.block_count or 0))


def _state_bytes(header: Header) -> int:
    """Recurrent state of one layer and sequence: convolution history and state, in 32 bits."""
    embedding = header.embedding_length or 0
    if head := header.integer("{}.wkv.head_size"):
        shifts = header.integer("{}.token_shift_count") or 2
        return (shifts * embedding + embedding * head) * _FLOAT_BYTES
    if history := header.integer("{}.shortconv.l_cache"):
        return embedding * (history - 1) * _FLOAT_BYTES
    inner = header.integer("{}.ssm.inner_size") or 0
    state = header.integer("{}.ssm.state_size") or 0
    groups = header.integer("{}.ssm.group_count") or 0
    kernel = header.integer("{}.ssm.conv_kernel") or 1
    return ((kernel - 1) * (inner + 2 * groups * state) + state * inner) * _FLOAT_BYTES


def _cells(header: Header, context_length: int, batch_tokens: int) -> tuple[int, int]:
    """Tokens that a slot's cache holds in full layers and in sliding ones: the window and one batch."""
    full_cells = _padded(context_length)
    window = header.sliding_window or _DEFAULT_WINDOWS.get(header.architecture)
    return full_cells, min(full_cells, _padded(window + batch_tokens)) if window else full_cells


def _compute_bytes(
    header: Header, context_length: int, slots: int, batch_tokens: int, flash_attention: bool = True
) -> int:
    """Buffers of one step: a layer's inner values and the attention masks for each token of the batch, or
    logits for each slot if these are more; and the logits once more, as they are handed out. Without flash
    attention masks are of floats, and the scores of all heads are there at once."""
    vocabulary, embedding = header.vocabulary_size or 0, header.embedding_length or 0
    full_cells, window_cells = _cells(header, context_length, batch_tokens)
    mask_cells = full_cells + (window_cells if any(_sliding_layers(header)) else 0)
    layer = _MASK_BYTES * mask_cells + _FLOAT_BYTES * (3 * _inner_width(header) + 4 * embedding)
    if not flash_attention:
        scores = _FLOAT_BYTES * (header.head_count or 0) * full_cells
        layer += _MASK_BYTES * mask_cells + scores
        fitting = _PLAIN_SCORES_BYTES // max(1, scores)
        batch_tokens = min(batch_tokens, _PLAIN_MICRO_BATCH_TOKENS, fitting)
    logits = slots * vocabulary * _FLOAT_BYTES
    return max(batch_tokens * layer, logits) + logits


def _inner_width(header: Header) -> int:
    """Width of the widest feed-forward layer, over all experts that one token uses."""
    widths = header.per_layer("{}.feed_forward_length") or (0,)
    experts = header.integer("{}.expert_used_count") or 0
    return max(*widths, experts * (header.integer("{}.expert_feed_forward_length") or max(widths)))


def _padded(tokens: int) -> int:
    return -(-tokens // _CACHE_STEP_TOKENS) * _CACHE_STEP_TOKENS
