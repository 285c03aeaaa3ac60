"""The state of one sequence, copied out of a context and back into one.

A *partial* state is only the part that cannot be rewound: recurrent state, and the window of sliding-window
layers. With it a sequence goes back to where it was taken, without the much larger rest.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import asdict

from native.binding import api
from native.llama import Context
from native.turning import TURNED_TYPES, moved

# What may differ between the context that saved a state and the one that takes it.
_FREE_OPTIONS = frozenset(
    {"context_length", "batch_tokens", "micro_batch_tokens", "threads", "prefill_threads", "draft_tokens"}
)


def layouts(context: Context) -> list[str]:
    """First the context's own: contexts of one model and one build of llama.cpp with equal ones take each
    other's states. Then, if there is one, that of states which it takes when they are `turned`."""
    options = {name: value for name, value in asdict(context.options).items() if name not in _FREE_OPTIONS}
    is_plain = context.options.flash_attention is False
    can_turn = not context.model.is_recurrent and context.options.kv_type_v in TURNED_TYPES
    kinds = (is_plain, not is_plain) if can_turn else (is_plain,)
    return [f"{sys.byteorder}-endian, {options | {'flash_attention': not kind}}" for kind in kinds]


def turned(context: Context, state: bytearray) -> bytearray:
    """A state of the other kind of attention for this one. Raises ValueError."""
    return moved(state, context.options.sequences, is_turned=True)


def size(context: Context, sequence: int) -> int:
    """Bytes that `save` would copy now."""
    return int(api.llama_state_seq_get_size_ext(context.handle, sequence, api.LLAMA_STATE_SEQ_FLAGS_NONE))


def save(context: Context, sequence: int, *, is_partial: bool = False) -> bytearray:
    """A copy of the state, empty if llama.cpp failed. Takes 0.7 ms a MB, most of it for fresh memory."""
    flags = _flags(is_partial)
    state = bytearray(api.llama_state_seq_get_size_ext(context.handle, sequence, flags))
    view = (ctypes.c_uint8 * len(state)).from_buffer(state)
    written = int(api.llama_state_seq_get_data_ext(context.handle, view, len(state), sequence, flags))
    return state if written == len(state) else bytearray()


def restore(context: Context, sequence: int, state: bytearray, *, is_partial: bool = False) -> bool:
    """Replace the sequence's state. False if llama.cpp refuses it, which leaves the sequence undefined."""
    view = (ctypes.c_uint8 * len(state)).from_buffer(state)
    return bool(
        api.llama_state_seq_set_data_ext(context.handle, view, len(state), sequence, _flags(is_partial))
    )


def _flags(is_partial: bool) -> int:
    return int(api.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY if is_partial else api.LLAMA_STATE_SEQ_FLAGS_NONE)
