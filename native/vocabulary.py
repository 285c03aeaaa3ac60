"""A llama.cpp vocabulary as llguidance sees it."""

from __future__ import annotations

import ctypes

from llguidance import LLTokenizer

from native.binding import api
from native.llama import Model

_LONGEST_PIECE = 1024
# What llguidance knows special tokens by: no text contains this byte.
_SPECIAL = b"\xff"


def tokenizer(model: Model) -> LLTokenizer:
    """For matchers, with the bytes that `model.piece` gives out; tokens without are special. Takes 0.2 s for
    49,152 tokens, and calls llama.cpp's tokenizer, so that the model must stay loaded."""
    buffer = ctypes.create_string_buffer(_LONGEST_PIECE)
    vocabulary = model.vocabulary
    pieces = []
    for token in range(model.vocabulary_size):
        count = api.llama_token_to_piece(vocabulary, token, buffer, _LONGEST_PIECE, 0, False)
        pieces.append(
            ctypes.string_at(buffer, count) if count > 0 else _SPECIAL + model.token_text(token).encode()
        )
    tokenize = ctypes.cast(api._lib.llama_tokenize, ctypes.c_void_p).value
    # Not in the library's type stub, but what its own llama.cpp module calls.
    made: LLTokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]
        tokens=pieces, vocab_ptr=vocabulary, tokenize_fptr=tokenize, eos_token=model.end_tokens, slices=None
    )
    return made
