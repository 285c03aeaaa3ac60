"""In which order kinds of text are measured, so that a run which stops early is balanced: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

# Most people use one or two languages: all languages together must not outweigh what else they do.
_LANGUAGES_A_TURN = 2


def in_turn(items: Mapping[str, Sequence[T]], languages: Collection[str]) -> Iterator[tuple[str, T]]:
    """All items with their domain: one of each domain that is no language, then two languages, and again."""
    kinds = [iter([(domain, item) for item in items[domain]]) for domain in items if domain not in languages]
    spoken = _alternating({domain: items[domain] for domain in items if domain in languages})
    while True:
        turn = [pair for kind in kinds for pair in islice(kind, 1)] + list(islice(spoken, _LANGUAGES_A_TURN))
        if not turn:
            return
        yield from turn


def _alternating(items: Mapping[str, Sequence[T]]) -> Iterator[tuple[str, T]]:
    longest = max(map(len, items.values()), default=0)
    for index in range(longest):
        yield from ((domain, of[index]) for domain, of in items.items() if index < len(of))
