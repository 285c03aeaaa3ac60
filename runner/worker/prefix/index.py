"""Which of many token sequences begins most like a given one: pure.

Sequences are bytes, four a token. Kept sorted, those that share most with a given one are its
neighbours, so a search costs a few comparisons whatever the number of sequences.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

TOKEN_BYTES = 4
_Value = TypeVar("_Value")
_Tokens = TypeVar("_Tokens", bytes, "array[int]")


def common_prefix(a: _Tokens, b: _Tokens) -> int:
    """Length of the longest common prefix, in elements.

    Equal stretches are compared whole and twice as long each time, the last one is halved: nothing visits
    single tokens, and sequences that differ early cost little.
    """
    longest = min(len(a), len(b))
    low, step = 0, 256
    while low < longest and a[low : low + step] == b[low : low + step]:
        low, step = min(low + step, longest), 2 * step
    high = min(low + step, longest)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class PrefixIndex(Generic[_Value]):
    """Values by token sequence."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._values: dict[bytes, _Value] = {}

    def __contains__(self, tokens: bytes) -> bool:
        return tokens in self._values

    def add(self, tokens: bytes, value: _Value) -> None:
        """Add a value, or replace the one that `tokens` had."""
        if tokens not in self._values:
            self._keys.insert(bisect_left(self._keys, tokens), tokens)
        self._values[tokens] = value

    def remove(self, tokens: bytes) -> None:
        if self._values.pop(tokens, None) is not None:
            del self._keys[bisect_left(self._keys, tokens)]

    def longest(self, tokens: bytes, reach: Callable[[_Value, int], int]) -> tuple[int, _Value | None]:
        """The value that gives most of the beginning of `tokens`, and how many tokens.

        `reach` says how many of `shared` tokens a value can give, at most `shared`.
        """
        best, found = 0, None
        for shared, value in self._nearest(tokens):
            if shared <= best:
                break
            if (reached := reach(value, shared)) > best:
                best, found = reached, value
        return best, found

    def covers(self, tokens: bytes) -> bool:
        """Whether some sequence begins with `tokens`, or is them."""
        at = bisect_left(self._keys, tokens)
        return at < len(self._keys) and self._keys[at].startswith(tokens)

    def beginnings(self, tokens: bytes) -> list[_Value]:
        """The values whose whole sequence `tokens` continue."""
        return [
            self._values[tokens[: shared * TOKEN_BYTES]]
            for shared, _ in self._nearest(tokens)
            if shared * TOKEN_BYTES < len(tokens) and tokens[: shared * TOKEN_BYTES] in self._values
        ]

    def _nearest(self, tokens: bytes) -> Iterator[tuple[int, _Value]]:
        """All that share a beginning with `tokens`, and how many tokens of it, most first."""
        right = bisect_left(self._keys, tokens)
        left = right - 1
        shared_left, shared_right = self._shared(left, tokens), self._shared(right, tokens)
        while shared_left or shared_right:
            if shared_right >= shared_left:
                yield shared_right, self._values[self._keys[right]]
                right += 1
                shared_right = self._shared(right, tokens)
            else:
                yield shared_left, self._values[self._keys[left]]
                left -= 1
                shared_left = self._shared(left, tokens)

    def _shared(self, at: int, tokens: bytes) -> int:
        if not 0 <= at < len(self._keys):
            return 0
        return common_prefix(self._keys[at], tokens) // TOKEN_BYTES
