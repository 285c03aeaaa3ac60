"""What is compared: files, and ways to run them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from modelstore.blobs import open_regular
from modelstore.gguf import read_header
from modelstore.header import Header


@dataclass(frozen=True, slots=True)
class Engine:
    """How llama.cpp runs a file. `context_length` is in tokens; `gpu_layers` -1 is all, 0 none; KV types are
    ggml's names; `flash_attention` None lets llama.cpp decide."""

    context_length: int
    threads: int
    gpu_layers: int
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    flash_attention: bool | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of a comparison. `name` is unique in it and made of names people know: "Q4_K_M", or
    "smollm2:135m", and for other knobs "Q8_0 · KV q4_0". `digest` is `sha256:<hex>` of the file; `tag` the
    local model it belongs to, None for a file that exists for this comparison only."""

    name: str
    path: Path
    digest: str
    size_bytes: int
    tag: str | None
    engine: Engine


def header_of(file: Path, size_bytes: int | None = None) -> Header:
    """`size_bytes` is what the file should have, None what it has. Raises InvalidModel, NotFound if there
    is no such file, and Unusable if it cannot be read."""
    with open_regular(file) as stream:
        return read_header(stream, size_bytes or os.fstat(stream.fileno()).st_size)
