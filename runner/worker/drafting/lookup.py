"""Drafts from n-grams for one sequence, and how often they were right."""

from __future__ import annotations

from collections.abc import Sequence

from runner.worker.drafting.ngrams import LONG, NgramPool

# Before a sequence has shown anything. Eight tokens that agree are rarely an accident, three often.
_FIRST_CHANCE = {True: 0.7, False: 0.3}
_NEWEST_WEIGHT = 0.15
# A guess that will hardly be reached is not worth looking up.
_LEAST_REACH = 0.05


class Lookup:
    """Guesses, and learns from every token that comes, whether its guess was decoded or not: so it costs
    nothing but these look-ups to notice that a text begins to repeat."""

    def __init__(self, pool: NgramPool, salt: int) -> None:
        """`salt` differs between texts: their short n-grams are their own."""
        self._pool = pool
        self._salt = salt
        self._learned = 0
        self._guessed_at = 0
        self._guesses: list[tuple[int, bool]] = []
        self._chance = dict(_FIRST_CHANCE)

    def learn(self, tokens: Sequence[int], most: int) -> None:
        """Take in up to `most` tokens that are new since the last call."""
        self._score(tokens)
        start, self._learned = self._learned, min(self._learned + most, len(tokens))
        self._pool.add(tokens, start, self._learned, self._salt)

    def guess(self, tokens: Sequence[int], most: int) -> tuple[list[int], list[float]]:
        """Up to `most` tokens that may follow, and for each the chance that it does if those before it do."""
        tail = list(tokens[-LONG:])
        guesses: list[tuple[int, bool]] = []
        chances: list[float] = []
        reach = 1.0
        while len(guesses) < most and reach >= _LEAST_REACH:
            found = self._pool.after(tail, self._salt)
            if found is None:
                break
            guesses.append(found)
            chances.append(self._chance[found[1]])
            reach *= chances[-1]
            tail.append(found[0])
        self._guessed_at, self._guesses = len(tokens), guesses
        return [token for token, _ in guesses], chances

    def _score(self, tokens: Sequence[int]) -> None:
        """Compare the last guesses with what came: up to the first wrong one, each is a trial."""
        for (guess, is_long), token in zip(self._guesses, tokens[self._guessed_at :], strict=False):
            is_right = guess == token
            self._chance[is_long] += _NEWEST_WEIGHT * (is_right - self._chance[is_long])
            if not is_right:
                break
        self._guesses = []
