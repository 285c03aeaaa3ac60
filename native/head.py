"""Multi-token prediction: a block behind a model's last layer that guesses what follows the next token.

It reads each token together with the state that the last layer had one token before. Of what that takes, two
functions of llama.cpp have C++ names. These contain the types of their parameters, so a library in which
anything about them has changed has no function by that name.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from native.batch import Batch
from native.binding import api
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model

# As GCC and Clang, and as Microsoft's compiler spell them.
_SET_STATES = (
    "_Z26llama_set_embeddings_nextnP13llama_contextbb",
    "?llama_set_embeddings_nextn@@YAXPEAUllama_context@@_N1@Z",
)
_GET_STATE = (
    "_Z30llama_get_embeddings_nextn_ithP13llama_contexti",
    "?llama_get_embeddings_nextn_ith@@YAPEAMPEAUllama_context@@H@Z",
)


@cache
def _function(names: tuple[str, str], result: Any, *arguments: Any) -> Any:
    for name in names:
        if found := getattr(api._lib, name, None):
            found.restype, found.argtypes = result, arguments
            return found
    return None


def _set_states() -> Any:
    return _function(_SET_STATES, None, ctypes.c_void_p, ctypes.c_bool, ctypes.c_bool)


def _get_state() -> Any:
    return _function(_GET_STATE, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)


def can_run() -> bool:
    """Whether this build of llama.cpp gives out what a head needs."""
    return bool(_set_states() and _get_state())


def keep_states(context: Context) -> None:
    """From now on `state` has a row for every token of a decode. Needs `can_run`."""
    _set_states()(context.handle, True, False)


def state(context: Context, row: int) -> bytes:
    """What the last layer made of batch row `row`, as 32-bit floats. Raises LlamaError if it is not there."""
    address = _get_state()(context.handle, row)
    if not address:
        raise LlamaError(f"llama.cpp has no state of row {row}")
    return ctypes.string_at(address, _width(context.model) * ctypes.sizeof(ctypes.c_float))


def _width(model: Model) -> int:
    return int(api.llama_model_n_embd_out(model.handle))


class HeadContext(Context):
    """Runs the head of `main`'s model, with a KV cache of its own. Its rows have a `state` too: a guess of
    what `main` would have there."""

    def __init__(self, main: Context, options: ContextOptions) -> None:
        """The model must be loaded `with_head`. Needs `can_run`. Raises LlamaError."""
        self._main = main
        super().__init__(main.model, options)
        self.batch = Batch(options.batch_tokens, options.sequences, _width(main.model))
        keep_states(self)

    def _parameters(self) -> api.llama_context_params:
        params = super()._parameters()
        params.ctx_type = api.LLAMA_CONTEXT_TYPE_MTP
        params.ctx_other = self._main.handle
        return params
