"""The memory arithmetic against what llama.cpp really allocates, and its edge cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelstore.fit import BATCH_TOKENS, kv_cache_bytes, memory_need
from modelstore.header import Header, Tensor, Value
from tests.fast.gguf.test_headers import header_of
from tests.memory import measured_memory
from tests.tiny_gguf import Shape, write_model


@pytest.mark.parametrize(
    "context_length, slots, batch_tokens", [(1024, 1, 128), (1000, 4, 512), (65_536, 2, 128)]
)
def test_agrees_with_llama_cpp(
    tiny_model: Path, context_length: int, slots: int, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelstore.fit.BATCH_TOKENS", batch_tokens)
    measured = measured_memory(tiny_model, context_length, slots, batch_tokens)
    need = memory_need(header_of(tiny_model), context_length, slots)
    assert need.kv_bytes == measured.kv_bytes
    assert need.weights_bytes == measured.weights_bytes
    assert need.compute_bytes == pytest.approx(measured.compute_bytes, rel=0.03)


def test_counts_attention_scores_where_flash_attention_is_off(tiny_model: Path) -> None:
    # A worker computes 128 tokens at once then, of a step of 512.
    measured = measured_memory(tiny_model, 8192, 1, 128, flash_attention=False)
    need = memory_need(header_of(tiny_model), 8192, 1, flash_attention=False)
    assert measured.compute_bytes <= need.compute_bytes < 1.1 * measured.compute_bytes


def test_agrees_with_llama_cpp_on_a_written_model(tmp_path: Path) -> None:
    path = write_model(tmp_path / "tiny.gguf", Shape(layers=3, heads=8, heads_kv=1))
    measured, need = measured_memory(path, 512, 2, 64), memory_need(header_of(path), 512, 2)
    # llama.cpp prints hundredths of a MiB.
    assert need.kv_bytes == pytest.approx(measured.kv_bytes, abs=0.005 * 2**20)
    assert need.weights_bytes == measured.weights_bytes


def model(architecture: str, layers: tuple[str, ...], **metadata: Value) -> Header:
    """A header whose layer i has one tensor called `layers[i]`."""
    tensors = tuple(
        Tensor(f"blk.{i}.{part}.weight", "F16", (64, 64), 0, 8192) for i, part in enumerate(layers)
    )
    stated: dict[str, Value] = {
        "block_count": len(layers), "embedding_length": 64, "attention.head_count": 4,
        **{key.replace("__", "."): value for key, value in metadata.items()},
    }  # fmt: skip
    keys = {f"{architecture}.{key}": value for key, value in stated.items()}
    return Header(3, {"general.architecture": architecture, **keys}, tensors, 0)


ROW = 64 + 64
STATE_BYTES = 4 * ((4 - 1) * (128 + 2 * 1 * 16) + 16 * 128)


def test_every_layer_counts_its_own_heads() -> None:
    header = model("nemotron_h", ("attn_k",) * 3, attention__head_count_kv=(4, 0, 1))
    assert kv_cache_bytes(header, 1024, 1) == 1024 * (16 + 16) * 5 * 2


def test_sliding_layers_keep_the_window_and_the_batch() -> None:
    header = model("gemma3", ("attn_k",) * 12, attention__sliding_window=300)
    # 300 + 512, in steps of 256.
    full, window = 8192, 1024
    assert kv_cache_bytes(header, 8192, 2) == 2 * (2 * full + 10 * window) * ROW * 2
    assert kv_cache_bytes(header, 256, 1) == 12 * 256 * ROW * 2


def test_a_stated_pattern_wins_over_the_architecture() -> None:
    header = model(
        "gemma3",
        ("attn_k",) * 2,
        attention__sliding_window=256,
        attention__sliding_window_pattern=(False, True),
    )
    assert kv_cache_bytes(header, 4096, 1) == (4096 + 768) * ROW * 2


def test_a_window_that_llama_cpp_ignores_is_ignored() -> None:
    header = model("llama", ("attn_k",) * 2, attention__sliding_window=256)
    assert kv_cache_bytes(header, 4096, 1) == 2 * 4096 * ROW * 2


def test_recurrent_layers_keep_a_state_instead() -> None:
    ssm: dict[str, Value] = {
        "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 1, "ssm__conv_kernel": 4
    }  # fmt: skip
    assert kv_cache_bytes(model("mamba", ("ssm_a",) * 2, **ssm), 4096, 3) == 3 * 2 * STATE_BYTES
    hybrid = model("jamba", ("ssm_a", "attn_k"), **ssm)
    assert kv_cache_bytes(hybrid, 4096, 1) == STATE_BYTES + 4096 * ROW * 2


def test_layers_that_share_a_cache_count_once() -> None:
    header = model("gemma4", ("attn_k",) * 4, attention__shared_kv_layers=3)
    assert kv_cache_bytes(header, 1024, 1) == 1024 * ROW * 2


def test_a_header_without_attention_figures_needs_no_cache() -> None:
    assert kv_cache_bytes(Header(3, {"general.architecture": "x"}, (), 0), 4096, 4) == 0


def test_the_batch_is_the_workers() -> None:
    from runner.worker.loading import BATCH_TOKENS as workers

    assert workers == BATCH_TOKENS
