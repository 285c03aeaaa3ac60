"""What the reader says of real files, against exact figures and against the reader of the `gguf` package."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from modelstore.gguf import read_header
from modelstore.header import Header, Tensor
from tests.tiny_gguf import Shape, write_model

DATA = Path(__file__).parents[2] / "data"


def header_of(path: Path) -> Header:
    with path.open("rb") as stream:
        return read_header(stream, path.stat().st_size)


def test_exact_values_of_the_tiny_model(tiny_model: Path) -> None:
    header = header_of(tiny_model)
    assert (header.version, header.architecture, header.name) == (3, "llama", "nybble-tiny")
    assert (header.block_count, header.context_length, header.embedding_length) == (6, 1024, 256)
    assert (header.head_count, header.head_count_kv) == (4, (2,) * 6)
    assert (header.key_length, header.value_length, header.sliding_window) == (64, 64, None)
    assert (header.vocabulary_size, header.parameter_count) == (8192, 6_819_072)
    assert (header.quantization, header.file_label, header.license) == ("F16", "F16", "apache-2.0")
    assert header.chat_template is None
    assert header.data_offset + header.weights_bytes == tiny_model.stat().st_size == 13_925_056


@pytest.mark.parametrize("name", ["nybble-tiny-f16.gguf", "nybble-tiny-draft-f16.gguf"])
def test_agrees_with_the_gguf_package(name: str) -> None:
    path = DATA / name
    ours, theirs = header_of(path), gguf.GGUFReader(path)
    fields = {key: field for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert ours.metadata.keys() == fields.keys()
    for key, field in fields.items():
        expected = field.contents()
        assert ours.metadata[key] == (tuple(expected) if isinstance(expected, list) else expected), key
    assert ours.data_offset == theirs.data_offset
    assert [(t.name, t.type, t.shape, t.size_bytes, ours.data_offset + t.offset) for t in ours.tensors] == [
        (t.name, t.tensor_type.name, tuple(t.shape.tolist()), t.n_bytes, t.data_offset)
        for t in theirs.tensors
    ]


def test_a_written_model_is_read_back(tmp_path: Path) -> None:
    header = header_of(write_model(tmp_path / "tiny.gguf", Shape(layers=3, width=32, heads=2, heads_kv=1)))
    assert (header.block_count, header.embedding_length, header.quantization) == (3, 32, "F32")
    assert (header.head_count_kv, header.key_length, header.vocabulary_size) == ((1, 1, 1), 16, 259)


def labelled(file_type: int, **types: tuple[str, int]) -> Header:
    tensors = tuple(
        Tensor(f"blk.0.{name}.weight", kind, (256, rows), 0, 0) for name, (kind, rows) in types.items()
    )
    embedding = Tensor("token_embd.weight", "Q8_0", (256, 100_000), 0, 0)
    vector = Tensor("blk.0.attn_norm.weight", "F32", (1_000_000,), 0, 0)
    return Header(3, {"general.file_type": file_type}, (embedding, vector, *tensors), 0)


def test_quantization_is_the_label_only_where_the_file_holds_it() -> None:
    assert labelled(15, ffn_up=("Q4_K", 300), ffn_down=("Q6_K", 200)).quantization == "Q4_K_M"
    assert labelled(15, ffn_up=("Q5_0", 300), ffn_down=("Q4_K", 200)).quantization == "Q5_0"
    assert labelled(27, ffn_up=("IQ3_S", 300)).quantization == "IQ3_M"
    assert labelled(9999, ffn_up=("Q4_K", 300)).quantization == "Q4_K"
    assert labelled(2).quantization == "Q8_0"
