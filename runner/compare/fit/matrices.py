"""The matrices of a model: which types each may have, and which belong together: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelstore.gguf_types import TENSOR_TYPES
from modelstore.header import Header, Tensor

TYPES = {kind.name: kind for kind in TENSOR_TYPES.values()}
NAMES = {number: kind.name for number, kind in TENSOR_TYPES.items()}
NUMBERS = {name: number for number, name in NAMES.items()}
"""ggml's, by name of the type, and the other way round."""

# By rising size.
CANDIDATES = (
    "IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K", "IQ3_XXS", "Q3_K", "IQ3_S", "IQ4_XS", "Q4_K", "IQ4_NL", "Q4_0",
    "Q4_1", "Q5_K", "Q5_0", "Q5_1", "Q6_K", "Q8_0",
)  # fmt: skip
IMPORTANT_ONLY = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS")
"""llama.cpp makes these with an importance matrix only."""

_LAYER = re.compile(r"blk\.(\d+)\.(.+)\.weight")
_CLASSES = (
    ("attention inputs", re.compile(r"attn_(q|k)")),
    ("attention values", re.compile(r"attn_(v|kv)")),
    ("attention output", re.compile(r"attn_output")),
    ("feed-forward inputs", re.compile(r"ffn_(up|gate)")),
    ("feed-forward output", re.compile(r"ffn_down")),
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A tensor that is to be quantized. `types` are those it may have, `group` what it is measured with."""

    tensor: Tensor
    group: str
    types: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.tensor.name

    def size_bytes(self, kind: str) -> int:
        return size_bytes(self.tensor, kind)


def size_bytes(tensor: Tensor, kind: str) -> int:
    """Of a tensor, if it is of that type."""
    return tensor.weights // TYPES[kind].block_weights * TYPES[kind].block_bytes


def matrices(header: Header, stock: Mapping[str, str], allowed: Collection[str], parts: int) -> list[Matrix]:
    """All that llama.cpp would quantize (`stock`: the type that it would give each). `allowed` are the types
    to choose from; layers are grouped in `parts` by depth."""
    layers = header.block_count or 1
    return [
        Matrix(tensor, _group(tensor.name, layers, parts), _types(tensor, allowed))
        for tensor in header.tensors
        if stock[tensor.name] != tensor.type and TYPES[stock[tensor.name]].block_weights > 1
    ]


def _types(tensor: Tensor, allowed: Collection[str]) -> tuple[str, ...]:
    """None larger than what the source has, which would add bytes and nothing else."""
    source = TYPES[tensor.type].bits_per_weight
    return tuple(
        name
        for name in CANDIDATES
        if name in allowed
        and (kind := TYPES[name]).bits_per_weight <= source
        and tensor.shape[0] % kind.block_weights == 0
    )


def _group(name: str, layers: int, parts: int) -> str:
    """What it does and how deep it is: "attention values 2/3"."""
    found = _LAYER.match(name)
    if found is None:
        return name.removesuffix(".weight")
    role = next((role for role, pattern in _CLASSES if pattern.search(found[2])), "others")
    return f"{role} {int(found[1]) * parts // layers + 1}/{parts}"
