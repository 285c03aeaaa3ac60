"""Tiny models of every kind of memory that llama.cpp has, with random weights: what they say is noise, but
the same noise for the same text, and other noise for another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.tiny_gguf import add_vocabulary, write_all

CONTEXT_LENGTH = 4096
WINDOW = 64
_WIDTH, _HEADS, _HEADS_KV, _LAYERS = 64, 4, 2, 2
_KV_WIDTH = _WIDTH // _HEADS * _HEADS_KV
_EXPERTS = 4
_INNER, _STATE, _CONV, _RANK, _GROUPS = 2 * _WIDTH, 16, 4, 8, 2
_BYTE_TOKENS = 3
"""The vocabulary's first byte token: below are <unk>, <s> and </s>."""
_ADDING = ("attn_output.weight", "ffn_down_exps.weight", "ffn_down_shexp.weight")
"""What a block of experts adds to its input goes through these."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`layer` gives the tensors of layer i, in numpy's order (rows first); `keys` are metadata below the
    architecture's name."""

    architecture: str
    layer: Callable[[int], Shapes]
    keys: dict[str, object]
    output_norm: str = "output_norm"
    is_foreseen: bool = False


def write_kind(path: Path, name: str, seed: int = 1) -> Path:
    """Writes the model called `name` in `KINDS`, which continues any text with lower-case letters."""
    return _write(path, KINDS[name], seed)


def write_foreseen(path: Path, layers: int) -> Path:
    """Writes a model that picks each letter by the one before, after `layers` blocks that add nothing, and
    whose head knows that."""
    keys = _HEAD_KEYS | _EXPERT_KEYS | {"block_count": layers + 1, "nextn_predict_layers": 1}
    return _write(path, Kind("glm4moe", lambda index: _glm4moe(index, layers), keys, is_foreseen=True), 1)


def _write(path: Path, kind: Kind, seed: int) -> Path:
    writer = gguf.GGUFWriter(path, kind.architecture)
    keys = {
        "block_count": _LAYERS,
        "context_length": CONTEXT_LENGTH,
        "embedding_length": _WIDTH,
        "feed_forward_length": _WIDTH,
        "attention.head_count": _HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    for key, value in (keys | kind.keys).items():
        _add(writer, f"{kind.architecture}.{key}", value)
    vocabulary_size = add_vocabulary(writer)
    random = np.random.default_rng(seed)
    shapes: Shapes = {"token_embd.weight": (vocabulary_size, _WIDTH)}
    layers = int(str((keys | kind.keys)["block_count"]))
    for index in range(layers):
        shapes |= {f"blk.{index}.{tensor}": shape for tensor, shape in kind.layer(index).items()}
    shapes |= {f"{kind.output_norm}.weight": (_WIDTH,), "output.weight": (vocabulary_size, _WIDTH)}
    for tensor, shape in shapes.items():
        values = _values(tensor, shape, random)
        if kind.is_foreseen and tensor.endswith(_ADDING):
            values[:] = 0
        if kind.is_foreseen and tensor == "output.weight":
            # And is sure.
            values *= 20
        if kind.is_foreseen and tensor.endswith("eh_proj.weight"):
            # The token, and nothing of the state.
            values = np.eye(shape[0], shape[1])
        writer.add_tensor(tensor, values.astype(np.float32))
    write_all(writer)
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)


def _values(tensor: str, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float64]:
    """Strong enough that a text's beginning is heard at its end."""
    if tensor.endswith("norm.weight"):
        # Sharper attention where queries and keys are normed: flat, it would hear everything a little.
        return np.full(shape, 2.0 if "_q_norm" in tensor or "_k_norm" in tensor else 1.0)
    if tensor.endswith("ssm_a"):
        # The rates at which state decays: slowly.
        return np.linspace(-0.002, -0.05, int(np.prod(shape))).reshape(shape)
    values: NDArray[np.float64] = random.normal(0, 1, shape)
    values *= {1: 0.1}.get(len(shape), 1.5 * shape[-1] ** -0.5)
    if tensor == "token_embd.weight":
        values *= 2
    if tensor.endswith("attn_output.weight"):
        values *= 2
    if tensor == "output.weight":
        letters = [_BYTE_TOKENS + byte for byte in range(ord("a"), ord("z") + 1)]
        # Few candidates with gaps between them: rounding must not decide which token is picked.
        values[np.setdiff1d(np.arange(shape[0]), letters)] = 0
    return values


def _attention() -> Shapes:
    return {
        "attn_norm.weight": (_WIDTH,),
        "attn_q.weight": (_WIDTH, _WIDTH),
        "attn_k.weight": (_KV_WIDTH, _WIDTH),
        "attn_v.weight": (_KV_WIDTH, _WIDTH),
        "attn_output.weight": (_WIDTH, _WIDTH),
    }


def _feed_forward() -> Shapes:
    return {
        "ffn_norm.weight": (_WIDTH,),
        "ffn_gate.weight": (_WIDTH, _WIDTH),
        "ffn_up.weight": (_WIDTH, _WIDTH),
        "ffn_down.weight": (_WIDTH, _WIDTH),
    }


def _dense(_index: int) -> Shapes:
    return _attention() | _feed_forward()


def _experts(_index: int) -> Shapes:
    return _attention() | {
        "ffn_norm.weight": (_WIDTH,),
        "ffn_gate_inp.weight": (_EXPERTS, _WIDTH),
        "ffn_gate_exps.weight": (_EXPERTS, _WIDTH, _WIDTH),
        "ffn_up_exps.weight": (_EXPERTS, _WIDTH, _WIDTH),
        "ffn_down_exps.weight": (_EXPERTS, _WIDTH, _WIDTH),
    }


def _mamba(_index: int) -> Shapes:
    return {
        "attn_norm.weight": (_WIDTH,),
        "ssm_in.weight": (2 * _INNER, _WIDTH),
        "ssm_conv1d.weight": (_INNER, _CONV),
        "ssm_conv1d.bias": (_INNER,),
        "ssm_x.weight": (_RANK + 2 * _STATE, _INNER),
        "ssm_dt.weight": (_INNER, _RANK),
        "ssm_dt.bias": (_INNER,),
        "ssm_a": (_INNER, _STATE),
        "ssm_d": (_INNER,),
        "ssm_out.weight": (_WIDTH, _INNER),
    }


def _mamba2(_index: int) -> Shapes:
    convolved = _INNER + 2 * _GROUPS * _STATE
    return {
        "attn_norm.weight": (_WIDTH,),
        "ssm_in.weight": (_INNER + convolved + _RANK, _WIDTH),
        "ssm_conv1d.weight": (convolved, _CONV),
        "ssm_conv1d.bias": (convolved,),
        "ssm_dt.bias": (_RANK,),
        "ssm_a": (_RANK, 1),
        "ssm_d": (_RANK, 1),
        "ssm_norm.weight": (_GROUPS, _INNER // _GROUPS),
        "ssm_out.weight": (_WIDTH, _INNER),
    }


def _jamba(index: int) -> Shapes:
    """Attention in every second layer."""
    if index % 2:
        return _dense(index)
    norms: Shapes = {
        "ssm_dt_norm.weight": (_RANK,),
        "ssm_b_norm.weight": (_STATE,),
        "ssm_c_norm.weight": (_STATE,),
    }
    return _mamba(index) | norms | _feed_forward()


def _lfm2(index: int) -> Shapes:
    """Short convolutions, and attention in every second layer."""
    head = _WIDTH // _HEADS
    if index % 2:
        return _dense(index) | {"attn_q_norm.weight": (head,), "attn_k_norm.weight": (head,)}
    convolution: Shapes = {
        "attn_norm.weight": (_WIDTH,),
        "shortconv.conv.weight": (_WIDTH, 3),
        "shortconv.in_proj.weight": (3 * _WIDTH, _WIDTH),
        "shortconv.out_proj.weight": (_WIDTH, _WIDTH),
    }
    return convolution | _feed_forward()


def _gemma3(_index: int) -> Shapes:
    head = _WIDTH // _HEADS
    norms: Shapes = {
        "attn_q_norm.weight": (head,),
        "attn_k_norm.weight": (head,),
        "post_attention_norm.weight": (_WIDTH,),
        "post_ffw_norm.weight": (_WIDTH,),
    }
    return _dense(_index) | norms


def _glm4(index: int) -> Shapes:
    shapes = _attention() | {
        "post_attention_norm.weight": (_WIDTH,),
        "ffn_norm.weight": (_WIDTH,),
        "ffn_up.weight": (2 * _WIDTH, _WIDTH),
        "ffn_down.weight": (_WIDTH, _WIDTH),
        "post_ffw_norm.weight": (_WIDTH,),
    }
    return shapes | _next_token_head(index)


def _next_token_head(index: int, layers: int = _LAYERS) -> Shapes:
    """What the layer behind the last has on top of its own: it predicts the token after the next one."""
    if index < layers:
        return {}
    return {
        "nextn.eh_proj.weight": (_WIDTH, 2 * _WIDTH),
        "nextn.enorm.weight": (_WIDTH,),
        "nextn.hnorm.weight": (_WIDTH,),
    }


def _glm4moe(index: int, layers: int = _LAYERS) -> Shapes:
    experts = _experts(index)
    del experts["ffn_norm.weight"]
    shared: Shapes = {f"ffn_{part}_shexp.weight": (_WIDTH, _WIDTH) for part in ("gate", "up", "down")}
    biases: Shapes = {f"attn_{part}.bias": (experts[f"attn_{part}.weight"][0],) for part in ("q", "k", "v")}
    norms: Shapes = {"post_attention_norm.weight": (_WIDTH,), "exp_probs_b.bias": (_EXPERTS,)}
    return experts | shared | biases | norms | _next_token_head(index, layers)


def _qwen35(index: int) -> Shapes:
    """A state in every second layer, from the first on; attention with gated outputs in the others."""
    head = _WIDTH // _HEADS
    mixing: Shapes = {
        "attn_q.weight": (2 * _WIDTH, _WIDTH),
        "attn_k.weight": (_KV_WIDTH, _WIDTH),
        "attn_v.weight": (_KV_WIDTH, _WIDTH),
        "attn_output.weight": (_WIDTH, _WIDTH),
        "attn_q_norm.weight": (head,),
        "attn_k_norm.weight": (head,),
    }
    if index < _LAYERS and index % 2 == 0:
        convolved = 2 * _GROUPS * _STATE + _INNER
        mixing = {
            "attn_qkv.weight": (convolved, _WIDTH),
            "attn_gate.weight": (_INNER, _WIDTH),
            "ssm_conv1d.weight": (convolved, _CONV),
            "ssm_dt.bias": (_RANK,),
            "ssm_a": (_RANK,),
            "ssm_beta.weight": (_RANK, _WIDTH),
            "ssm_alpha.weight": (_RANK, _WIDTH),
            "ssm_norm.weight": (_STATE,),
            "ssm_out.weight": (_WIDTH, _INNER),
        }
    norms: Shapes = {"attn_norm.weight": (_WIDTH,), "post_attention_norm.weight": (_WIDTH,)}
    feed_forward = _feed_forward()
    del feed_forward["ffn_norm.weight"]
    return norms | mixing | feed_forward | _next_token_head(index)


_HEAD_KEYS: dict[str, object] = {
    "attention.head_count_kv": _HEADS_KV,
    "rope.dimension_count": _WIDTH // _HEADS,
}
_SSM_KEYS: dict[str, object] = {
    "ssm.conv_kernel": _CONV,
    "ssm.inner_size": _INNER,
    "ssm.state_size": _STATE,
    "ssm.time_step_rank": _RANK,
}
_NEXT_TOKEN_KEYS: dict[str, object] = {"block_count": _LAYERS + 1, "nextn_predict_layers": 1}
_EXPERT_KEYS: dict[str, object] = {
    "expert_count": _EXPERTS,
    "expert_used_count": 2,
    "expert_feed_forward_length": _WIDTH,
    "expert_shared_count": 1,
}
_EVERY_SECOND: dict[str, object] = {"attention.head_count_kv": [0, _HEADS_KV] * (_LAYERS // 2)}

KINDS = {
    "dense": Kind("llama", _dense, _HEAD_KEYS),
    "experts": Kind("llama", _experts, _HEAD_KEYS | {"expert_count": _EXPERTS, "expert_used_count": 2}),
    "mamba": Kind("mamba", _mamba, _SSM_KEYS | {"attention.head_count": 0}),
    "mamba2": Kind("mamba2", _mamba2, _SSM_KEYS | {"attention.head_count": 0, "ssm.group_count": _GROUPS}),
    "jamba": Kind("jamba", _jamba, _SSM_KEYS | _EVERY_SECOND),
    "lfm2": Kind("lfm2", _lfm2, _EVERY_SECOND | {"shortconv.l_cache": 3}, "token_embd_norm"),
    "window": Kind(
        "gemma3",
        _gemma3,
        _HEAD_KEYS
        | {
            "attention.key_length": _WIDTH // _HEADS,
            "attention.value_length": _WIDTH // _HEADS,
            "attention.sliding_window": WINDOW,
            "attention.sliding_window_pattern": 2,
        },
    ),
    "unused head": Kind("glm4", _glm4, _HEAD_KEYS | _NEXT_TOKEN_KEYS),
    "head": Kind("glm4moe", _glm4moe, _HEAD_KEYS | _NEXT_TOKEN_KEYS | _EXPERT_KEYS),
    "hybrid with head": Kind(
        "qwen35",
        _qwen35,
        _HEAD_KEYS
        | _NEXT_TOKEN_KEYS
        | _SSM_KEYS
        | {
            "attention.key_length": _WIDTH // _HEADS,
            "attention.value_length": _WIDTH // _HEADS,
            "ssm.group_count": _GROUPS,
            "full_attention_interval": 2,
            "rope.dimension_sections": [4, 2, 2, 0],
        },
    ),
}
"""Every kind of memory: all of the past (dense, mixture of experts, with a layer for multi-token prediction
that is not used and with one that may be),
state only (two generations of Mamba), both (with Mamba, with short convolutions, with a layer for multi-token
prediction), and a window of it."""
