"""Which files have a head for multi-token prediction that workers can use: pure."""

from __future__ import annotations

from modelstore.header import Header

_ARCHITECTURES = frozenset({"glm4moe", "qwen35"})
"""Those whose head llama.cpp runs without the rest of the model, as far as a test has run one. Of others it
may end the process."""


def has_head(header: Header) -> bool:
    """Whether one block behind the last predicts the token after the next one. Some files say so and were
    made without its tensors."""
    block = (header.block_count or 0) - 1
    return (
        header.architecture in _ARCHITECTURES
        and header.integer("{}.nextn_predict_layers") == 1
        and any(tensor.name == f"blk.{block}.nextn.eh_proj.weight" for tensor in header.tensors)
    )
