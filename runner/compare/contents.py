"""What a file really holds, from its header: labels alone say little. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from modelstore.header import Header, Tensor

# The table of tokens and the layer that makes logits of the last state: most of a small model.
_OUTSIDE = ("token_embd.", "output.", "per_layer_token_embd.")


@dataclass(frozen=True, slots=True)
class Contents:
    """`bits_per_weight` counts all tensors, as llama.cpp does; `body_bits_per_weight` leaves out embeddings
    and output. `types` are bytes by ggml type, most first."""

    bits_per_weight: float | None
    body_bits_per_weight: float | None
    types: dict[str, int]


def contents(header: Header) -> Contents:
    types: Counter[str] = Counter()
    for tensor in header.tensors:
        types[tensor.type] += tensor.size_bytes
    body = [tensor for tensor in header.tensors if not tensor.name.startswith(_OUTSIDE)]
    return Contents(_bits(list(header.tensors)), _bits(body), dict(types.most_common()))


def _bits(tensors: list[Tensor]) -> float | None:
    weights = sum(tensor.weights for tensor in tensors)
    return 8 * sum(tensor.size_bytes for tensor in tensors) / weights if weights else None
