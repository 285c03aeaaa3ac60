"""Encoders (BERT's architecture) as GGUF: a converter for published weights, and tiny random ones."""

from __future__ import annotations

import json
import string
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.tiny_gguf import write_all

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PREFIX = "##"
_WORD_START = "\u2581"

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Shape:
    """A BERT model; `inner` is the width of its feed-forward layers."""

    layers: int = 2
    width: int = 32
    heads: int = 2
    inner: int = 48
    context_length: int = 64
    pooling: gguf.PoolingType = gguf.PoolingType.MEAN
    rerank_template: str | None = None
    epsilon: float = 1e-12


def convert(folder: Path, path: Path) -> Path:
    """A sentence-transformers model with mean pooling, from `folder` to `path`, as 32-bit floats."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
    assert pooling["pooling_mode_mean_tokens"] and config["hidden_act"] == "gelu"
    shape = Shape(
        config["num_hidden_layers"],
        config["hidden_size"],
        config["num_attention_heads"],
        config["intermediate_size"],
        config["max_position_embeddings"],
        epsilon=config["layer_norm_eps"],
    )
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, shape.layers)
    weights = {
        name: values
        for published, values in _safetensors(folder / "model.safetensors").items()
        # The head that BERT was trained with, and numbers from 0 to 511, are no part of the encoder.
        if not published.startswith("pooler.") and published != "embeddings.position_ids"
        and (name := names.get_name(published, (".weight", ".bias")))
    }  # fmt: skip
    vocabulary = (folder / "vocab.txt").read_text("utf-8").splitlines()
    return _write(path, shape, vocabulary, weights)


def write_encoder(path: Path, shape: Shape | None = None, seed: int = 1) -> Path:
    """A tiny encoder that reads the letters of ASCII words; with rank pooling it has a head that scores."""
    shape = shape or Shape()
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    vocabulary = [*SPECIAL, *letters, *(_PREFIX + letter for letter in letters)]
    random = np.random.default_rng(seed)
    weights = {
        name: (
            np.ones(dimensions) if name.endswith("norm.weight") else random.normal(0, 0.2, dimensions)
        ).astype(np.float32)
        for name, dimensions in _tensors(shape, len(vocabulary)).items()
    }
    return _write(path, shape, vocabulary, weights)


def _write(path: Path, shape: Shape, vocabulary: list[str], weights: Weights) -> Path:
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(shape.epsilon)
    writer.add_causal_attention(False)
    writer.add_pooling_type(shape.pooling)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_token_type_count(2)
    if shape.rerank_template:
        writer.add_chat_template([{"name": "rerank", "template": shape.rerank_template}])
    _add_vocabulary(writer, vocabulary)
    for name, values in weights.items():
        writer.add_tensor(name, values)
    write_all(writer)
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, vocabulary: list[str]) -> None:
    """WordPiece as llama.cpp reads it: what begins a word is marked, and not what continues one."""
    marked = [
        text
        if text in SPECIAL
        else text.removeprefix(_PREFIX)
        if text.startswith(_PREFIX)
        else _WORD_START + text
        for text in vocabulary
    ]
    special, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(marked)
    writer.add_token_types([special if text in SPECIAL else normal for text in vocabulary])
    number = {text: vocabulary.index(text) for text in SPECIAL}
    writer.add_pad_token_id(number["[PAD]"])
    writer.add_unk_token_id(number["[UNK]"])
    writer.add_bos_token_id(number["[CLS]"])
    writer.add_sep_token_id(number["[SEP]"])
    writer.add_mask_token_id(number["[MASK]"])


def _tensors(shape: Shape, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Dimensions in numpy's order, rows first."""
    width, inner = shape.width, shape.inner
    linear = {
        "attn_q": (width, width),
        "attn_k": (width, width),
        "attn_v": (width, width),
        "attn_output": (width, width),
        "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }
    tensors: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary_size, width),
        "position_embd.weight": (shape.context_length, width),
        "token_types.weight": (2, width),
    }
    norms = ["token_embd_norm"]
    for layer in range(shape.layers):
        for name, dimensions in linear.items():
            tensors |= {f"blk.{layer}.{name}.weight": dimensions, f"blk.{layer}.{name}.bias": dimensions[:1]}
        norms += [f"blk.{layer}.attn_output_norm", f"blk.{layer}.layer_output_norm"]
    if shape.pooling is gguf.PoolingType.RANK:
        tensors |= {"cls.weight": (width, width), "cls.bias": (width,)}
        tensors |= {"cls.output.weight": (1, width), "cls.output.bias": (1,)}
    for name in norms:
        tensors |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return tensors


def _safetensors(path: Path) -> Weights:
    """The 32-bit tensors of a file: a length, that many bytes of JSON with offsets, then the numbers."""
    data = np.memmap(path, np.uint8, "r")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    tensors = json.loads(data[8 : 8 + length].tobytes())
    body = data[8 + length :]
    return {
        name: body[slice(*tensor["data_offsets"])].view("<f4").reshape(tensor["shape"])
        for name, tensor in tensors.items()
        if name != "__metadata__" and tensor["dtype"] == "F32"
    }
