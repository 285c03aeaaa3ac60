"""One option for every item, as good as it gets within a size: the multiple-choice knapsack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STATES = 4096
"""Partial sums kept. A sum may be passed over for one that is smaller than this share of the budget, and no
worse; with fewer sums than this the result is exact."""


@dataclass(frozen=True, slots=True)
class Option:
    """What an item weighs and costs in one form."""

    size: int
    cost: float


def allocate(items: Sequence[Sequence[Option]], budget: int) -> list[int] | None:
    """The index of an option for each item: least cost in all, with sizes of at most `budget` together. None
    if even the smallest are too large.

    Builds the Pareto front of sums item by item; sums stay exact, only their number is limited.
    """
    least = sum(min(option.size for option in options) for options in items)
    if least > budget:
        return None
    sizes, costs = np.zeros(1, np.int64), np.zeros(1)
    steps: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for options in items:
        least -= min(option.size for option in options)
        sizes, costs, parents, chosen = _extended(sizes, costs, options, budget - least)
        steps.append((parents, chosen))
    return _backwards(steps)


def _extended(
    sizes: NDArray[np.int64], costs: NDArray[np.float64], options: Sequence[Option], room: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The front after one more item: sizes ascending, costs falling; which sum each came from, and by which
    option."""
    all_sizes = np.add.outer([option.size for option in options], sizes).ravel()
    all_costs = np.add.outer([option.cost for option in options], costs).ravel()
    order = np.lexsort((all_costs, all_sizes))
    order = order[all_sizes[order] <= room]
    before = np.minimum.accumulate(np.concatenate(([np.inf], all_costs[order][:-1])))
    order = order[all_costs[order] < before]
    if len(order) > _STATES:
        order = _thinned(order, all_sizes, room)
    return all_sizes[order], all_costs[order], order % len(sizes), order // len(sizes)


def _thinned(order: NDArray[np.int64], sizes: NDArray[np.int64], room: int) -> NDArray[np.int64]:
    """The largest, which is the best, of each stretch of sizes. All of them leave room for the rest."""
    stretch = sizes[order] * _STATES // (room + 1)
    is_last = np.append(stretch[1:] != stretch[:-1], True)
    kept: NDArray[np.int64] = order[is_last]
    return kept


def _backwards(steps: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> list[int]:
    """From the cheapest sum of all, which is the last, back to the first item."""
    at, found = len(steps[-1][0]) - 1, []
    for parents, chosen in reversed(steps):
        found.append(int(chosen[at]))
        at = int(parents[at])
    return found[::-1]
