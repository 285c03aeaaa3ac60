"""GGUF files made by the tests: a tiny valid model, and byte for byte whatever should be refused."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

U8, U32, I32, F32, BOOL, STRING, ARRAY, U64 = 0, 4, 5, 6, 7, 8, 9, 10
_FORMATS = {U8: "B", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A small llama model; `width` is also the feed-forward layers'."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    heads_kv: int = 2
    context_length: int = 256


def write_model(path: Path, shape: Shape | None = None, seed: int = 1) -> Path:
    """Writes a model that llama.cpp loads and runs: random weights, a vocabulary of the 256 bytes."""
    shape = shape or Shape()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    vocabulary_size = add_vocabulary(writer)
    random = np.random.default_rng(seed)
    for name, dimensions in _tensors(shape, vocabulary_size).items():
        is_norm = name.endswith("norm.weight")
        values = np.ones(dimensions) if is_norm else random.normal(0, 0.1, dimensions)
        writer.add_tensor(name, values.astype(np.float32))
    write_all(writer)
    return path


def write_all(writer: gguf.GGUFWriter) -> None:
    """The file, once it is known what belongs in it."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_vocabulary(writer: gguf.GGUFWriter) -> int:
    kinds = gguf.TokenType
    tokens = [("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", kinds.BYTE) for byte in range(256)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([int(kind) for _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return len(tokens)


def _tensors(shape: Shape, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Dimensions in numpy's order, rows first."""
    width, kv_width = shape.width, shape.width // shape.heads * shape.heads_kv
    layer = {
        "attn_norm": (width,),
        "attn_q": (width, width),
        "attn_k": (kv_width, width),
        "attn_v": (kv_width, width),
        "attn_output": (width, width),
        "ffn_norm": (width,),
        "ffn_gate": (width, width),
        "ffn_up": (width, width),
        "ffn_down": (width, width),
    }
    tensors: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary_size, width)}
    for index in range(shape.layers):
        tensors |= {f"blk.{index}.{name}.weight": dimensions for name, dimensions in layer.items()}
    return tensors | {"output_norm.weight": (width,)}


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def value(kind: int, content: object) -> bytes:
    """A metadata value with its type; `content` of an array is `(element type, elements)`."""
    return struct.pack("<I", kind) + _content(kind, content)


def _content(kind: int, content: object) -> bytes:
    if kind == STRING:
        return string(content)  # type: ignore[arg-type]
    if kind == ARRAY:
        element, items = content  # type: ignore[misc]
        head = struct.pack("<IQ", element, len(items))
        return head + b"".join(_content(element, item) for item in items)
    return struct.pack(f"<{_FORMATS[kind]}", content)


def tensor(name: str, shape: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *(size % 2**64 for size in shape))
    return string(name) + dimensions + struct.pack("<IQ", kind, offset)


@dataclass(slots=True)
class RawGguf:
    """A small header, correct as it is; a test spoils one part. Counts not given are those of the parts."""

    magic: bytes = b"GGUF"
    version: int = 3
    tensor_count: int | None = None
    key_count: int | None = None
    metadata: dict[str | bytes, bytes] = field(default_factory=lambda: dict(METADATA))
    repeated: list[tuple[str, bytes]] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=lambda: list(TENSORS))
    data_bytes: int = 2 * 4096

    def build(self) -> bytes:
        pairs = [*self.metadata.items(), *self.repeated]
        tensor_count = len(self.tensors) if self.tensor_count is None else self.tensor_count
        key_count = len(pairs) if self.key_count is None else self.key_count
        head = self.magic + struct.pack("<IQQ", self.version, tensor_count % 2**64, key_count % 2**64)
        head += b"".join(string(key) + content for key, content in pairs) + b"".join(self.tensors)
        return head + bytes(-len(head) % 32) + bytes(self.data_bytes)


METADATA: dict[str | bytes, bytes] = {
    "general.architecture": value(STRING, "llama"),
    "general.name": value(STRING, "Tiny"),
    "llama.block_count": value(U32, 2),
    "llama.context_length": value(U32, 256),
    "llama.embedding_length": value(U32, 32),
    "llama.attention.head_count": value(U32, 4),
    "llama.attention.head_count_kv": value(U32, 2),
    "tokenizer.ggml.tokens": value(ARRAY, (STRING, ["a", "b", "c"])),
    "tokenizer.ggml.scores": value(ARRAY, (F32, [0.0, -1.0, -2.0])),
    "tokenizer.ggml.token_type": value(ARRAY, (I32, [1, 1, 1])),
    "tokenizer.chat_template": value(STRING, "{{ messages }}"),
}
TENSORS = [tensor("token_embd.weight", (32, 32)), tensor("blk.0.attn_q.weight", (32, 32), 0, 4096)]
