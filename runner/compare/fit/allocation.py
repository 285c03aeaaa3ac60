"""Which type each matrix gets: pure."""

from __future__ import annotations

import re
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelstore.errors import UserError
from modelstore.gguf_types import FILE_TYPES, main_type
from modelstore.header import Header
from runner.compare.fit.knapsack import Option, allocate
from runner.compare.fit.matrices import TYPES, Matrix, size_bytes

_ALIGNMENT = 32
_METADATA_BYTES = 4096
"""More than llama.cpp adds to the header of a file that it quantizes."""
_LEAST_SENSITIVITY = 0.05
_DOUBLINGS, _STEPS = 48, 32
"""How far the price of time goes, and in how many steps for each doubling."""

Errors = Mapping[str, Mapping[str, float]]
"""Relative error by matrix and type."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What it cost to keep one group of matrices in `kinds` and all others fine: `kld` in nats."""

    group: str
    kinds: Mapping[str, str]
    kld: float


def low_types(errors: Errors, bits: float) -> dict[str, str]:
    """For each matrix the type nearest to `bits` per weight, to probe with."""
    return {
        name: min(kinds, key=lambda kind: abs(TYPES[kind].bits_per_weight - bits))
        for name, kinds in errors.items()
    }


def sensitivities(probes: Sequence[Probe], floor: float, errors: Errors) -> dict[str, float]:
    """KL divergence by unit of relative error, for each group; `floor` is what the fine rest costs.

    The effect of small errors adds up, with a factor for each matrix (Malinovskii et al. 2024, HIGGS,
    theorem 1). A group that seems to cost nothing gets a twentieth of the median: noise is no reason to spend
    nothing on it.
    """
    found = {
        probe.group: (probe.kld - floor) / sum(errors[name][kind] for name, kind in probe.kinds.items())
        for probe in probes
    }
    positive = [value for value in found.values() if value > 0]
    least = _LEAST_SENSITIVITY * statistics.median(positive) if positive else 1.0
    return {group: max(value, least) for group, value in found.items()}


def fixed_bytes(header: Header, matrices: Sequence[Matrix]) -> int:
    """Of the file without the matrices: header, vocabulary, norms, and room for what is added."""
    chosen = {each.name for each in matrices}
    others = sum(_padded(each.size_bytes) for each in header.tensors if each.name not in chosen)
    return header.data_offset + _METADATA_BYTES + others


def file_bytes(header: Header, kinds: Mapping[str, str]) -> int:
    """Of a file with these tensor types, to a few kilobytes."""
    data = sum(_padded(size_bytes(each, kinds[each.name])) for each in header.tensors if each.name in kinds)
    return header.data_offset + _METADATA_BYTES + data


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT) * _ALIGNMENT


@dataclass(frozen=True, slots=True)
class Problem:
    """`costs` is the KL divergence that each type of each matrix is expected to add, `seconds` what it adds
    to the time of one token (empty where speed does not matter), `room_bytes` what all matrices may take."""

    matrices: Sequence[Matrix]
    costs: Errors
    room_bytes: int
    seconds: Errors

    def best(self, most_s: float | None = None) -> dict[str, str]:
        """The type of each matrix: least cost in the room, and in `most_s` per token as far as that goes.

        Raises UserError if not even the smallest types fit.
        """
        chosen = self._solved(0.0)
        takes_s = self._takes_s(chosen)
        if most_s is None or takes_s <= most_s:
            return chosen
        # A price on time, the least at which the floor is met (Lagrange).
        least = max(self.cost(chosen), 1e-9) / max(takes_s, 1e-9) / 64
        prices = [least * 2 ** (step / _STEPS) for step in range(_DOUBLINGS * _STEPS)]
        index = bisect_left(prices, True, key=lambda price: self._takes_s(self._solved(price)) <= most_s)
        if index == len(prices):
            raise UserError(
                "no mixture of this size is as fast as that",
                hint="Allow less with --min-tps, or fewer bytes with --fit.",
            )
        return self._solved(prices[index])

    def cost(self, kinds: Mapping[str, str]) -> float:
        """The KL divergence that is expected."""
        return sum(self.costs[name][kind] for name, kind in kinds.items())

    def _takes_s(self, kinds: Mapping[str, str]) -> float:
        return sum(self.seconds[name][kind] for name, kind in kinds.items())

    def _solved(self, price: float) -> dict[str, str]:
        """Least cost where a second of a token's time costs `price`."""

        def option(matrix: Matrix, kind: str) -> Option:
            cost = self.costs[matrix.name][kind]
            in_time = price * self.seconds[matrix.name][kind] if price else 0.0
            return Option(_padded(matrix.size_bytes(kind)), cost + in_time)

        items = [[option(each, kind) for kind in self.costs[each.name]] for each in self.matrices]
        found = allocate(items, self.room_bytes)
        if found is None:
            least = sum(min(option.size for option in options) for options in items)
            raise UserError(
                f"not even the smallest types fit: they take {(least - self.room_bytes) / 1e6:,.1f} MB more",
                hint="Give it more room, or take a smaller model.",
            )
        chosen = zip(self.matrices, found, strict=True)
        return {each.name: list(self.costs[each.name])[index] for each, index in chosen}


def label_of(matrices: Sequence[Matrix], kinds: Mapping[str, str]) -> str:
    """The file label that names the type of most weights: llama.cpp has none for mixtures of one's own."""
    weights: Counter[str] = Counter()
    for each in matrices:
        weights[kinds[each.name]] += each.tensor.weights
    leading = weights.most_common(1)[0][0]
    return next(label for label in FILE_TYPES.values() if main_type(label) == leading)


def patterns(kinds: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """For llama.cpp, which takes regular expressions."""
    return tuple((f"^{re.escape(name)}$", kind) for name, kind in kinds.items())
