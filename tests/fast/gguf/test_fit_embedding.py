"""The memory arithmetic for models that are loaded to embed, against what llama.cpp really allocates."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from modelstore.fit import embedding_need, memory_need
from native import offload
from native.embedding import EmbeddingContext
from native.llama import Model
from native.log import Log
from tests.encoder_gguf import Shape, write_encoder
from tests.fast.gguf.test_headers import header_of

TEXTS = 32


def allocated(path: Path, context_length: int) -> dict[str, int]:
    """Bytes by kind of buffer. The one for output grows with the first long text, to logits for all of it."""
    log = Log()
    model = Model(path, 0, log=log)
    context = EmbeddingContext(model, context_length, TEXTS, 1, 1)
    sizes = {buffer.kind: buffer.size_bytes for buffer in offload.buffers(log.infos)}
    sizes["output"] = context.unlisted_bytes
    context.close()
    model.close()
    return sizes


@pytest.mark.parametrize("context_length", [512, 4096])
def test_an_encoder_has_no_cache_and_room_for_its_longest_text(tmp_path: Path, context_length: int) -> None:
    shape = Shape(layers=3, width=128, heads=4, inner=512, context_length=context_length)
    path = write_encoder(tmp_path / "encoder.gguf", shape)
    sizes, need = allocated(path, context_length), embedding_need(header_of(path), context_length, TEXTS)
    assert (need.kv_bytes, "KV" in sizes) == (0, False)
    assert (
        sizes["compute"] + sizes["output"] <= need.compute_bytes <= 2 * (sizes["compute"] + sizes["output"])
    )
    assert memory_need(header_of(path), context_length, TEXTS) == need


def test_a_model_that_generates_has_one_cache_for_all_texts(tiny_model: Path) -> None:
    sizes, need = allocated(tiny_model, 1024), embedding_need(header_of(tiny_model), 1024, TEXTS)
    assert need.kv_bytes == sizes["KV"]
    assert need.compute_bytes == pytest.approx(sizes["compute"] + sizes["output"], rel=0.1)


def test_a_header_says_what_its_model_is_for(tmp_path: Path, tiny_model: Path) -> None:
    ranker = write_encoder(tmp_path / "ranker.gguf", Shape(pooling=gguf.PoolingType.RANK))
    encoder = write_encoder(tmp_path / "encoder.gguf", Shape())
    headers = [header_of(path) for path in (tiny_model, encoder, ranker)]
    assert [(header.purpose, header.is_encoder) for header in headers] == [
        ("generate", False),
        ("embed", True),
        ("rerank", True),
    ]
