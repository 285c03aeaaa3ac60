"""A llama.cpp vocabulary as llguidance sees it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from llguidance import LLTokenizer

from native.binding import api
from native.llama import Model

_LONGEST_PIECE = 1024
_READ_AT_ONCE = 2048
_buffer = ctypes.create_string_buffer(_LONGEST_PIECE)
# What llguidance knows special tokens by: no text contains this byte.
_SPECIAL = b"\xff"
# Tokens that are checked as one: what may stand between quotation marks, short enough for a bounded length.
# llguidance's own four kinds make no mask faster than these two, and take 1.6 times their time and memory.
_SLICES = [r'[^"\\\x00-\x1F\x7F]{1,10}', r'[^"\\\x00-\x1F\x7F]{1,30}']


Reading = Iterator[LLTokenizer | None]
"""None until the tokenizer is there."""


def reading(model: Model) -> Reading:
    """The way to a tokenizer for matchers, in parts between which others get their turn: None after each, and
    from the last on the tokenizer, which calls the model's own: it must stay loaded.

    Most parts take some milliseconds. The last two are llguidance's own, hold the GIL, and take 0.07 s each
    for 49,152 tokens, 0.55 s for 262,144. The tokenizer takes 0.3 kilobytes a token.

    Tokens have the bytes that `model.piece` gives out; those without are special.
    """
    size = model.vocabulary_size
    pieces: list[bytes] = []
    end_tokens: list[int] = []
    for start in range(0, size, _READ_AT_ONCE):
        tokens = range(start, min(start + _READ_AT_ONCE, size))
        pieces += [_piece(model, token) for token in tokens]
        end_tokens += filter(model.is_end, tokens)
        yield None
    tokenize = ctypes.cast(api._lib.llama_tokenize, ctypes.c_void_p).value
    # Not in the library's type stub, but what its own llama.cpp module calls.
    made: LLTokenizer = LLTokenizer.from_llamacpp(  # type: ignore[attr-defined]
        tokens=pieces, vocab_ptr=model.vocabulary, tokenize_fptr=tokenize, eos_token=end_tokens, slices=[]
    )
    yield None
    made = made.with_slices(_SLICES)
    while True:
        yield made


def _piece(model: Model, token: int) -> bytes:
    count = api.llama_token_to_piece(model.vocabulary, token, _buffer, _LONGEST_PIECE, 0, False)
    return ctypes.string_at(_buffer, count) if count > 0 else _SPECIAL + model.token_text(token).encode()
