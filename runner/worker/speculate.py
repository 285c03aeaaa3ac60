"""Guesses of the next tokens, decoded along with the last one and kept as far as they are right."""

from __future__ import annotations

from runner.worker.sequence import Sequence


class Speculation:
    """Makes no guesses."""

    def draft(self, sequence: Sequence, room: int) -> list[int]:
        """At most `room` tokens that may follow `sequence.tokens`."""
        return []

    def verified(self, sequence: Sequence, drafted: int, accepted: int) -> None:
        """The first `accepted` of `drafted` guesses were right."""

    def ended(self, sequence: Sequence) -> None:
        """No more tokens will come."""
