"""Which candidates no other beats: in memory, loss, time and energy, counting only sure differences."""

from __future__ import annotations

from collections.abc import Sequence

from runner.compare.lineup import Candidate, Figure, Lineup


def front(candidates: Sequence[Candidate], lineup: Lineup, context: int) -> list[Candidate]:
    """The smallest first. Of candidates that cannot be told apart only the smallest remains."""
    left: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: each.footprint_bytes(context)):
        # Only by who is left: Q5 may be like Q6 and like Q4 although Q6 and Q4 differ.
        if not any(beats(other, candidate, lineup, context) for other in left):
            left = [other for other in left if not beats(candidate, other, lineup, context)]
            left.append(candidate)
    return left


def beats(one: Candidate, other: Candidate, lineup: Lineup, context: int) -> bool:
    """Surely worse in nothing and surely better in something. An axis that one of them lacks does not
    count."""
    better = _comparisons(one, other, lineup, context)
    worse = _comparisons(other, one, lineup, context)
    return any(better) and not any(worse)


def _comparisons(one: Candidate, other: Candidate, lineup: Lineup, context: int) -> tuple[bool, ...]:
    return (
        one.footprint_bytes(context) < other.footprint_bytes(context),
        lineup.loses_less(one, other),
        _is_better(one.time_s, other.time_s),
        _is_better(one.joules, other.joules),
    )


def _is_better(one: Figure | None, other: Figure | None) -> bool:
    return one is not None and other is not None and one.is_better_than(other)
