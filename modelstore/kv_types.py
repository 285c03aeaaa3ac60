"""Types that the KV cache can have: their sizes, and which model and which device can use which. Pure.

What devices can do is read from llama.cpp's source (`supports_op` of flash attention, version 0.3.36 of the
binding); the worker looks at llama.cpp's log as well, where it says what became of an attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelstore.gguf_types import TENSOR_TYPES

if TYPE_CHECKING:
    from modelstore.header import Header

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
"""ggml's types that llama.cpp can keep keys and values in, largest first."""

_BY_NAME = {each.name.lower(): each for each in TENSOR_TYPES.values()}
_BUT_IQ4_NL = frozenset(KV_TYPES[:-1])

# By the beginning of ggml's device names.
_GPU_TYPES = {
    "CUDA": _BUT_IQ4_NL, "ROCm": _BUT_IQ4_NL, "MUSA": _BUT_IQ4_NL,
    "MTL": _BUT_IQ4_NL, "Metal": _BUT_IQ4_NL, "Vulkan": frozenset(KV_TYPES),
}  # fmt: skip
_ON_OTHER_GPUS = frozenset({"f16"})
_EQUAL_TYPES_ONLY = ("MTL", "Metal")


@dataclass(frozen=True, slots=True)
class KvTypes:
    """Types of keys and values."""

    k: str = "f16"
    v: str = "f16"

    @property
    def k_bytes(self) -> float:
        """Of one number in a key."""
        return _BY_NAME[self.k].bits_per_weight / 8

    @property
    def v_bytes(self) -> float:
        return _BY_NAME[self.v].bits_per_weight / 8

    def __str__(self) -> str:
        return self.k if self.k == self.v else f"{self.k}/{self.v}"


F16 = KvTypes()


def obstacle(
    header: Header, types: KvTypes, flash_attention: str, gpu_names: tuple[str, ...] = ()
) -> str | None:
    """Why this model cannot have these types, in words; None if it can. `gpu_names` are ggml's names of the
    devices that it would run on, none for the CPU. `flash_attention` is "auto", "on" or "off"."""
    if _BY_NAME[types.v].block_weights > 1 and flash_attention == "off":
        return f"values of type {types.v} need flash attention, which is off"
    if reason := _block_obstacle(header, types):
        return reason
    return next((reason for name in gpu_names if (reason := _gpu_obstacle(name, types))), None)


def _block_obstacle(header: Header, types: KvTypes) -> str | None:
    for what, kind, length in (
        ("keys", types.k, header.key_length),
        ("values", types.v, header.value_length),
    ):
        block = _BY_NAME[kind].block_weights
        if length is not None and length % block:
            return f"{what} of type {kind} come in blocks of {block}, and heads here have {length} numbers"
    return None


def _gpu_obstacle(name: str, types: KvTypes) -> str | None:
    """llama.cpp would compute this attention on the CPU and say nothing, at a fraction of the speed."""
    backend = next((each for each in _GPU_TYPES if name.startswith(each)), None)
    able = _GPU_TYPES[backend] if backend else _ON_OTHER_GPUS
    for kind in (types.k, types.v):
        if kind not in able:
            return f"{name} cannot compute attention with a KV cache of type {kind}: the CPU would"
    if backend in _EQUAL_TYPES_ONLY and types.k != types.v:
        return f"{name} needs keys and values of one type, not {types}: the CPU would compute the attention"
    if backend == "Vulkan" and types.k != types.v and "bf16" in (types.k, types.v):
        return f"{name} cannot mix bf16 with another type: the CPU would compute the attention"
    return None
