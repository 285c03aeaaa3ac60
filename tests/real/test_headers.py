"""The header reader and the memory arithmetic on the two larger models."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from modelstore.fit import memory_need
from modelstore.gguf import read_header
from modelstore.header import Header
from tests.memory import measured_memory


def header_of(path: Path) -> Header:
    with path.open("rb") as stream:
        return read_header(stream, path.stat().st_size)


def test_smollm2(smollm2: Path) -> None:
    started = time.perf_counter()
    header = header_of(smollm2)
    assert time.perf_counter() - started < 0.5
    assert (header.architecture, header.block_count, header.context_length) == ("llama", 30, 8192)
    assert (header.embedding_length, header.head_count, header.head_count_kv) == (576, 9, (3,) * 30)
    assert (header.parameter_count, header.quantization, header.file_label) == (134_515_008, "Q4_1", "Q4_1")
    assert (header.license, header.vocabulary_size) == ("apache-2.0", 49_152)
    assert header.chat_template and header.chat_template.startswith("{% for message in messages %}")
    assert header.data_offset + header.weights_bytes == smollm2.stat().st_size


def test_gemma3_is_not_what_its_label_says(gemma3: Path) -> None:
    header = header_of(gemma3)
    assert (header.architecture, header.block_count, header.sliding_window) == ("gemma3", 18, 512)
    assert (header.key_length, header.value_length, header.head_count_kv) == (256, 256, (1,) * 18)
    # Rows of 640 are no multiple of 256: most of its layers could not become Q4_K.
    assert (header.file_label, header.quantization) == ("Q4_K_M", "Q5_0")
    assert (header.chat_template, header.license) == (None, "gemma")


@pytest.mark.parametrize("context_length, slots, batch_tokens", [(4096, 4, 512), (8192, 1, 128)])
@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
def test_memory_agrees_with_llama_cpp(
    model: str,
    request: pytest.FixtureRequest,
    context_length: int,
    slots: int,
    batch_tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelstore.fit.BATCH_TOKENS", batch_tokens)
    path: Path = request.getfixturevalue(model)
    measured = measured_memory(path, context_length, slots, batch_tokens)
    need = memory_need(header_of(path), context_length, slots)
    assert need.kv_bytes == measured.kv_bytes
    assert need.weights_bytes == measured.weights_bytes
    assert need.compute_bytes == pytest.approx(measured.compute_bytes, rel=0.05)
