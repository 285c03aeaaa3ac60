"""n-grams that this worker has seen, and the token that followed each: drafts for texts that repeat."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from operator import mul
from random import Random

SHORT, LONG = 3, 8
"""Tokens that must agree. Three find the way back right behind a difference, but only in the same text: in
another one they mean nothing. Eight are taken from any text."""

_SLOT_BITS = 20
_TOKEN_BITS = 22
_MASK = (1 << 64) - 1
# Multilinear hashing: small enough that sums stay machine words, spread over 64 bits at the end.
_COEFFICIENTS = tuple(Random(0).sample(range(1, 1 << 30, 2), LONG))
_SPREAD = 0x9E3779B97F4A7C15


class NgramPool:
    """A hash table of fixed size (8 MiB, touched as it fills), shared by all sequences of the worker.

    An entry is the hash without the bits that are its place, and a token. Newer n-grams overwrite older ones.
    Adding a token takes about 4 µs, looking one up 2 µs, whatever the pool holds.
    """

    def __init__(self) -> None:
        self._table = memoryview(mmap.mmap(-1, 8 << _SLOT_BITS)).cast("Q")

    def add(self, tokens: Sequence[int], start: int, end: int, salt: int) -> None:
        """Learn that `tokens[start:end]` follow what is before each of them. `salt` is the text's own."""
        for length, its_salt in ((SHORT, salt), (LONG, 0)):
            for at in range(max(start, length), end):
                key = _key(tokens[at - length : at], its_salt)
                self._table[key >> (64 - _SLOT_BITS)] = (key << _TOKEN_BITS & _MASK) | tokens[at]

    def after(self, tail: Sequence[int], salt: int) -> tuple[int, bool] | None:
        """The token that followed the end of `tail` last time, and whether `LONG` tokens agree."""
        for length, its_salt in ((LONG, 0), (SHORT, salt)):
            if len(tail) >= length and (token := self._find(_key(tail[-length:], its_salt))) is not None:
                return token, length == LONG
        return None

    def _find(self, key: int) -> int | None:
        entry = self._table[key >> (64 - _SLOT_BITS)]
        # Never true of an empty place: its hash would have to be 0.
        if entry >> _TOKEN_BITS == key & (_MASK >> _TOKEN_BITS) and entry:
            return entry & ((1 << _TOKEN_BITS) - 1)
        return None


def _key(window: Sequence[int], salt: int) -> int:
    total: int = sum(map(mul, window, _COEFFICIENTS))
    return (total + salt) * _SPREAD & _MASK
