"""Whether two models differ on the same questions: McNemar's test (1947), exact."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, ldexp


def discordant(one: Sequence[bool], other: Sequence[bool]) -> tuple[int, int]:
    """How many only `one` has right, and only `other`; both in the order of the questions."""
    pairs = list(zip(one, other, strict=True))
    return pairs.count((True, False)), pairs.count((False, True))


def p_value(lost: int, gained: int) -> float:
    """Two-sided: how often a fair coin that is tossed for each discordant answer is as lopsided as this."""
    tosses = lost + gained
    tail = sum(comb(tosses, heads) for heads in range(min(lost, gained) + 1))
    return min(1.0, ldexp(tail, 1 - tosses))
