"""Answers that go in circles, found by their tokens."""

from __future__ import annotations

from collections.abc import Sequence

_ROUNDS = 3
_LEAST_TOKENS = 24
"""Of repetition at the end: lists and refrains repeat themselves for a while, too."""


def goes_in_circles(tokens: Sequence[int]) -> bool:
    """Whether an answer ends with the same piece at least three times in a row, without another token
    between. One that ended by itself got out."""
    for period in range(1, len(tokens) // _ROUNDS + 1):
        length = max(_ROUNDS * period, _LEAST_TOKENS)
        if length <= len(tokens) and tokens[-length:-period] == tokens[-length + period :]:
            return True
    return False
