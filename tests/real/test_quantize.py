"""A reference made from a 4-bit file, and k-quants whose rows do not fit."""

from __future__ import annotations

from pathlib import Path
from threading import Event

from modelstore.gguf import read_header
from modelstore.progress import Progress
from modelstore.pull import pull
from modelstore.quantize import Request, quantize
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store


def ignore(_progress: Progress) -> None:
    pass


def test_smollm2_to_f16_and_to_a_k_quant_that_is_none(smollm2: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    pull(store, str(smollm2), "smol", HubOptions(), ignore, Event())
    reference = quantize(store, Request("smol", "F16", force=True), ignore, Event())
    assert reference.derived_from == "smol:latest (Q4_1, dequantized)"
    assert (reference.name, reference.quantization, reference.has_chat_template) == ("smol:f16", "F16", True)
    made = quantize(store, Request("smol:f16", "Q4_K_M"), ignore, Event())
    with store.check(made).open("rb") as stream:
        header = read_header(stream, made.size_bytes)
    # Rows of 576 are no multiple of 256.
    assert (header.file_label, made.quantization) == ("Q4_K_M", "Q5_0")
    assert made.size_bytes < reference.size_bytes / 2
