"""What a GGUF file says of itself before its weights: values with names, checked by `modelstore.gguf`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from modelstore.gguf_types import FILE_TYPES, main_type

Scalar = int | float | bool | str
Value = Scalar | tuple[Scalar, ...]
Purpose = Literal["generate", "embed", "rerank"]

_RANK_POOLING = 4


@dataclass(frozen=True, slots=True)
class Tensor:
    """`shape` is in the file's order, row length first. `offset` counts bytes from `Header.data_offset`."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int

    @property
    def weights(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """A GGUF header. Properties are None where the file does not say."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int

    def without_long_arrays(self, longest: int = 1024) -> Header:
        """The same header without vocabulary and merges: a hundredth of the memory, for keeping."""
        kept = {k: v for k, v in self.metadata.items() if not (isinstance(v, tuple) and len(v) > longest)}
        return replace(self, metadata=kept)

    def integer(self, key: str) -> int | None:
        """The whole number under `key` (`{}` stands for the architecture). None if absent or no number."""
        value = self.metadata.get(key.replace("{}", self.architecture))
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def per_layer(self, key: str) -> tuple[int, ...] | None:
        """The number under `key` for each layer; files give one for all or an array. None if neither fits."""
        value = self.metadata.get(key.replace("{}", self.architecture))
        if isinstance(value, tuple):
            numbers = tuple(int(item) for item in value if isinstance(item, int))
            return numbers if len(numbers) == self.block_count else None
        number = self.integer(key)
        return None if number is None or self.block_count is None else (number,) * self.block_count

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or ""

    @property
    def name(self) -> str | None:
        return self.text("general.name")

    @property
    def license(self) -> str | None:
        return self.text("general.license")

    @property
    def chat_template(self) -> str | None:
        return self.text("tokenizer.chat_template")

    @property
    def block_count(self) -> int | None:
        return self.integer("{}.block_count")

    @property
    def context_length(self) -> int | None:
        return self.integer("{}.context_length")

    @property
    def embedding_length(self) -> int | None:
        return self.integer("{}.embedding_length")

    @property
    def head_count(self) -> int | None:
        """Attention heads of the layer that has most."""
        heads = self.per_layer("{}.attention.head_count")
        return max(heads) if heads else None

    @property
    def head_count_kv(self) -> tuple[int, ...] | None:
        """Key and value heads of each layer; 0 for layers without attention."""
        return self.per_layer("{}.attention.head_count_kv") or self.per_layer("{}.attention.head_count")

    @property
    def key_length(self) -> int | None:
        """Width of one head's key."""
        return self.integer("{}.attention.key_length") or self._head_length()

    @property
    def value_length(self) -> int | None:
        """Width of one head's value."""
        return self.integer("{}.attention.value_length") or self._head_length()

    def _head_length(self) -> int | None:
        if not self.embedding_length or not self.head_count:
            return None
        return self.embedding_length // self.head_count

    @property
    def sliding_window(self) -> int | None:
        """Tokens that sliding-window layers look back on."""
        return self.integer("{}.attention.sliding_window") or None

    @property
    def is_encoder(self) -> bool:
        """Whether every token sees all others: such a model has no KV cache and cannot continue a text."""
        is_causal = self.metadata.get(f"{self.architecture}.attention.causal")
        return is_causal is False or self.architecture == "gemma-embedding"

    @property
    def purpose(self) -> Purpose:
        """What the model was trained for: a file that pools its states is not for generating."""
        pooling = self.integer("{}.pooling_type") or 0
        if pooling == _RANK_POOLING:
            return "rerank"
        return "embed" if pooling > 0 or self.is_encoder else "generate"

    @property
    def vocabulary_size(self) -> int | None:
        """Rows of the embedding table: they are what memory and logits depend on."""
        table = next((t for t in self.tensors if t.name == "token_embd.weight"), None)
        return table.shape[1] if table and len(table.shape) > 1 else self.integer("{}.vocab_size")

    @property
    def parameter_count(self) -> int:
        return sum(tensor.weights for tensor in self.tensors)

    @property
    def weights_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def file_label(self) -> str | None:
        """The quantization that the file claims."""
        number = self.integer("general.file_type")
        return None if number is None else FILE_TYPES.get(number)

    @property
    def quantization(self) -> str | None:
        """What the file really holds: its label if that names the type that leads in the layers.

        Layers only, since every mixture keeps embedding and output finer than its name says. Rows that
        are no multiple of a type's block are stored in another type whatever the label claims.
        """
        layers = _weights_by_type(tensor for tensor in self.tensors if tensor.name.startswith("blk."))
        counts = layers or _weights_by_type(self.tensors)
        if not counts:
            return None
        leading = counts.most_common(1)[0][0]
        label = self.file_label
        return label if label and main_type(label) == leading else leading


def _weights_by_type(tensors: Iterable[Tensor]) -> Counter[str]:
    """Weights in matrices (vectors always stay F32) by tensor type."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        if len(tensor.shape) > 1:
            counts[tensor.type] += tensor.weights
    return counts
