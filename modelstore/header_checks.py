"""What a header must say for llama.cpp to load the file without aborting, beyond being well-formed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from modelstore.gguf_stream import INTEGERS, Entry, refuse
from modelstore.header import Header

_TEMPLATE_LIMIT = 1024**2
_HEADS_LIMIT = 4096
_ARCHITECTURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

# Least and most, where present; `{}` is the architecture.
_RANGES = {
    "{}.block_count": (1, 512),
    "{}.context_length": (1, 2**24),
    "{}.embedding_length": (1, 2**20),
    "{}.vocab_size": (1, 2**24),
    "{}.attention.key_length": (1, 65_536),
    "{}.attention.value_length": (1, 65_536),
    "{}.rope.dimension_count": (0, 65_536),
    "{}.expert_count": (0, 65_536),
}
_VOCABULARY = {
    "tokenizer.ggml.tokens": ("string[]",),
    "tokenizer.ggml.scores": ("f32[]",),
    "tokenizer.ggml.token_type": ("i32[]", "u32[]"),
}


def check_model(header: Header, entries: Mapping[str, Entry]) -> None:
    """Raise InvalidModel if `header` (made of `entries`) could not be a model."""
    _check_architecture(header, entries)
    _check_ranges(header, entries)
    for part in ("head_count", "head_count_kv"):
        _check_heads(header, entries.get(f"{header.architecture}.attention.{part}"), part)
    _check_vocabulary(entries)
    for key, entry in entries.items():
        if isinstance(entry.value, float) and not math.isfinite(entry.value):
            refuse(f"{key!r} is {entry.value}", entry.offset)
    template = entries.get("tokenizer.chat_template")
    if template and (not isinstance(template.value, str) or len(template.value) > _TEMPLATE_LIMIT):
        refuse(f"chat template that is no text of up to {_TEMPLATE_LIMIT:,} characters", template.offset)


def _check_architecture(header: Header, entries: Mapping[str, Entry]) -> None:
    entry = entries.get("general.architecture")
    if entry is None:
        refuse("no general.architecture in the metadata", 24)
    if not _ARCHITECTURE.fullmatch(header.architecture):
        refuse("general.architecture that is no name", entry.offset)


def _check_ranges(header: Header, entries: Mapping[str, Entry]) -> None:
    for pattern, (least, most) in _RANGES.items():
        key = pattern.replace("{}", header.architecture)
        entry = entries.get(key)
        if entry is None:
            continue
        if not isinstance(entry.value, int) or entry.type not in INTEGERS:
            refuse(f"{key} is {entry.type}, not a whole number,", entry.offset)
        if not least <= entry.value <= most:
            refuse(f"{key} is {entry.value:,} ({least:,} to {most:,})", entry.offset)
    experts, used = header.integer("{}.expert_count"), header.integer("{}.expert_used_count")
    if experts and used and used > experts:
        refuse(
            f"{used} of {experts} experts used", entries[f"{header.architecture}.expert_used_count"].offset
        )


def _check_heads(header: Header, entry: Entry | None, part: str) -> None:
    """One number for all layers, or one for each; 0 only for layers (or whole models) without attention."""
    if entry is None:
        return
    heads = header.per_layer(f"{{}}.attention.{part}")
    if heads is None or entry.type.removesuffix("[]") not in INTEGERS:
        refuse(f"{part} that is no whole number, nor one for each layer,", entry.offset)
    states = (f"{header.architecture}.ssm.", f"{header.architecture}.wkv.")
    recurrent = any(key.startswith(states) for key in header.metadata)
    if min(heads) < 0 or max(heads) > _HEADS_LIMIT or (max(heads) == 0 and not recurrent):
        refuse(f"{part} from {min(heads)} to {max(heads)} (1 to {_HEADS_LIMIT:,})", entry.offset)


def _check_vocabulary(entries: Mapping[str, Entry]) -> None:
    """llama.cpp walks the three arrays with one index and the first one's length."""
    tokens = entries.get("tokenizer.ggml.tokens")
    for key, types in _VOCABULARY.items():
        entry = entries.get(key)
        if entry is None:
            continue
        if entry.type not in types or not isinstance(entry.value, tuple) or not entry.value:
            refuse(f"{key} is {entry.type}, or empty,", entry.offset)
        if tokens and isinstance(tokens.value, tuple) and len(entry.value) != len(tokens.value):
            refuse(f"{len(entry.value):,} values in {key} for {len(tokens.value):,} tokens", entry.offset)
