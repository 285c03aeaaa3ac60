"""What a few rows of logits say. Pure; natural logarithms.

Logits and exponentials are 32-bit, as llama.cpp gives them out; their sums and all that is made of them are
64-bit. Means over the vocabulary are added up in 32 bits, but of what is small. Equal logits give equal sums,
so that a model differs from itself by exactly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from native.errors import NotFinite

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

Rows = NDArray[np.float32]
"""(rows, vocabulary)"""

# 4 MB a buffer: small enough for a processor's cache, large enough that Python's own time does not count.
_ELEMENTS = 2**20


def rows_at_once(vocabulary_size: int) -> int:
    return max(1, _ELEMENTS // vocabulary_size)


class Scratch:
    """Buffers for `rows_at_once` rows, for one thread."""

    def __init__(self, vocabulary_size: int) -> None:
        shape = (rows_at_once(vocabulary_size), vocabulary_size)
        self.shifted, self.probabilities, self.work = (np.empty(shape, np.float32) for _ in range(3))


@dataclass(frozen=True, slots=True)
class Distributions:
    """What a candidate is held against: valid until `scratch` is used for other rows.

    `probabilities` are p, ln p is `logits` less `log_sum`, and `top` the first choice.
    """

    logits: Rows
    probabilities: Rows
    log_sum: NDArray[np.float64]
    top: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Reference(Distributions):
    """`shifted` are logits less the highest of their row; `nll` is -ln p of the token that follows, `margin`
    how far the second is behind the first, `entropy` in nats."""

    shifted: Rows
    nll: NDArray[np.float64]
    margin: NDArray[np.float32]
    entropy: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Beside the reference: `kld` is KL(p ‖ q), of which a record says at once that it is not below
    `lumped`."""

    nll: NDArray[np.float64]
    kld: NDArray[np.float64]
    same_top: NDArray[np.bool_]
    lumped: NDArray[np.float64] | None = None


def reference(logits: Rows, following: NDArray[np.intp], scratch: Scratch) -> Reference:
    """`following` is the token that came after each row. Raises NotFinite."""
    count = np.arange(len(logits))
    shifted, probabilities = scratch.shifted[: len(logits)], scratch.probabilities[: len(logits)]
    top, log_sum = log_sums(logits, probabilities)
    np.subtract(logits, logits[count, top][:, None], out=shifted)
    shifted[count, top] = -np.inf
    margin = -shifted.max(axis=1)
    shifted[count, top] = 0
    normalize(probabilities, logits, top, log_sum)
    entropy = log_sum - logits[count, top] - _dot(probabilities, shifted)
    nll = log_sum - logits[count, following]
    check(nll, entropy)
    return Reference(logits, probabilities, log_sum, top, shifted, nll, margin, entropy)


def candidate(
    logits: Rows, following: NDArray[np.intp], against: Distributions, scratch: Scratch
) -> Candidate:
    """Raises NotFinite. KL(p ‖ q) is the mean of ln p - ln q, made of differences of logits: both are much
    larger than what they differ by. What all logits of a row are moved by goes first, for 32-bit p do not
    add up to 1 exactly."""
    work = scratch.work[: len(logits)]
    top, log_sum = log_sums(logits, work)
    moved = against.log_sum - log_sum
    rounded = moved.astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        np.subtract(against.logits, logits, out=work)
        work -= rounded[:, None]
        kld = _dot(against.probabilities, work) - (moved - rounded)
    nll = log_sum - logits[np.arange(len(logits)), following]
    check(nll, kld)
    return Candidate(nll, kld, top == against.top)


def divergence_at(temperatures: tuple[float, ...], of: Reference, scratch: Scratch) -> NDArray[np.float64]:
    """KL(p ‖ p at each temperature T), where p at T is proportional to p^(1/T): the sum over the rows.

    Σ p (ln p - ln p_T) = (1 - 1/T) Σ p x - ln Σ exp x + ln Σ exp(x/T), with x the shifted logits.
    """
    work = scratch.work[: len(of.logits)]
    mean = _dot(of.probabilities, of.shifted)
    log_sum = of.log_sum - of.logits[np.arange(len(of.logits)), of.top]
    found = np.empty(len(temperatures))
    for index, temperature in enumerate(temperatures):
        np.multiply(of.shifted, np.float32(1 / temperature), out=work)
        np.exp(work, out=work)
        hotter = np.log(work.sum(axis=1, dtype=np.float64))
        found[index] = ((1 - 1 / temperature) * mean - log_sum + hotter).sum()
    return found


def joined(parts: Sequence[T]) -> T:
    """Arrays end to end, field by field."""
    arrays = {field.name: [getattr(part, field.name) for part in parts] for field in fields(parts[0])}
    return type(parts[0])(
        **{name: np.concatenate(each) for name, each in arrays.items() if each[0] is not None}
    )


def log_sums(logits: Rows, out: Rows) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """First choice and ln Σ exp of each row; `out` becomes the exponentials, the first choice's being 1.
    Raises NotFinite."""
    top = logits.argmax(axis=1)
    highest = logits[np.arange(len(logits)), top]
    check(highest)
    np.subtract(logits, highest[:, None], out=out)
    np.exp(out, out=out)
    return top, highest + np.log(out.sum(axis=1, dtype=np.float64))


def normalize(exponentials: Rows, logits: Rows, top: NDArray[np.intp], log_sum: NDArray[np.float64]) -> None:
    """What `log_sums` left behind becomes probabilities; the first choice's is exp(highest - ln Σ)."""
    scale = np.exp(logits[np.arange(len(logits)), top] - log_sum)
    exponentials *= scale.astype(np.float32)[:, None]


def _dot(left: Rows, right: Rows) -> NDArray[np.float64]:
    # As products of matrices: einsum adds up one value after another, and loses a digit and a half.
    products: Rows = np.matmul(left[:, None, :], right[:, :, None])
    return products[:, 0, 0].astype(np.float64)


def check(*values: NDArray[Any]) -> None:
    """Raises NotFinite."""
    # argmax finds the first NaN, if there is one; what is minus infinity in one model only makes the sums so.
    if not all(np.isfinite(array).all() for array in values):
        raise NotFinite
