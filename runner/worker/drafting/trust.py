"""How far a draft model can be believed about one sequence: pure."""

from __future__ import annotations

from collections.abc import Sequence

_FIRST_ACCEPTANCE = 0.6
_NEWEST_WEIGHT = 0.1
_MOST = 0.98
# Of the time that plain steps take, to see whether drafts would be right by now: next to nothing.
_TRIAL_PART = 0.01


class Trust:
    """Compares what the draft model said with what came, whether its guesses were decoded or not."""

    def __init__(self, of_all: Trust | None = None) -> None:
        """`of_all`, sequences that came before among them, learns along."""
        self._of_all = of_all
        self.acceptance = _FIRST_ACCEPTANCE
        self._confidence = _FIRST_ACCEPTANCE
        self._guessed_at = 0
        self._guesses: list[tuple[int, float]] = []

    def chances(self, confidences: Sequence[float]) -> list[float]:
        """Probabilities that guesses are accepted: the draft model's own, corrected by how it has done."""
        ratio = self.acceptance / self._confidence
        return [min(_MOST, confidence * ratio) for confidence in confidences]

    def guessed(self, at: int, tokens: Sequence[int], confidences: Sequence[float]) -> None:
        """The draft model expects `tokens` from position `at` on."""
        self._guessed_at, self._guesses = at, list(zip(tokens, confidences, strict=True))

    def learn(self, tokens: Sequence[int]) -> None:
        """Score the guesses by `tokens`, all of the sequence: up to the first wrong one, each is a trial."""
        for (guess, confidence), token in zip(self._guesses, tokens[self._guessed_at :], strict=False):
            self._count(guess == token, confidence)
            if guess != token:
                break
        self._guesses = []

    def _count(self, is_right: bool, confidence: float) -> None:
        self.acceptance += _NEWEST_WEIGHT * (is_right - self.acceptance)
        self._confidence += _NEWEST_WEIGHT * (confidence - self._confidence)
        if self._of_all:
            self._of_all._count(is_right, confidence)


class Trials:
    """Guesses for sequences for which drafting does not pay, to see whether it would by now. All of them
    together take one hundredth of the time."""

    def __init__(self) -> None:
        self._saved_s = 0.0

    def may_begin(self, step_s: float, price_s: float) -> bool:
        """After one more step of `step_s`: whether there is time for a trial of `price_s`."""
        self._saved_s += _TRIAL_PART * step_s
        if self._saved_s < price_s:
            return False
        self._saved_s = 0.0
        return True
