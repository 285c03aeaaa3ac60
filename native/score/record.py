"""The reference's distributions in 0.8 KB a token, and candidates compared with them later. Pure.

Of each distribution the likeliest tokens are kept one by one, of the rest its mass and a sample. By the chain
rule, KL divergence is that of the lumped distributions (the rest being one token) and the rest's mass times
the divergence within it. The sample estimates the latter without bias, and identical models still differ by
exactly nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from native.score import rows
from native.shortlist import shortlist

_TOP = 64
_SAMPLES = 32
ROW = np.dtype(
    [
        ("ids", "<i4", _TOP),
        ("logprobs", "<f4", _TOP),
        ("sample_ids", "<i4", _SAMPLES),
        ("sample_logprobs", "<f4", _SAMPLES),
        ("tail", "<f8"),
        ("nll", "<f8"),
        ("margin", "<f4"),
        ("entropy", "<f4"),
    ]
)
"""One scored token of a vocabulary that is larger than what is kept of it."""
Kept = NDArray[Any]
_LEAST_TAIL = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True)
class Compared:
    """`lumped` is a lower bound of each token's KL divergence, to which either estimate of the divergence in
    the tail may be added: `steady` is never negative, `light` has the lighter upper end where models differ
    much."""

    nll: NDArray[np.float64]
    lumped: NDArray[np.float64]
    steady: NDArray[np.float64]
    light: NDArray[np.float64]
    same_top: NDArray[np.bool_]


def keep(of: rows.Reference, scratch: rows.Scratch, seed: int) -> Kept:
    """Rows of `ROW`; the tail is sampled at equal distances of probability, from an offset that `seed`
    decides."""
    kept = np.zeros(len(of.logits), ROW)
    tails = scratch.work[: len(of.logits)]
    tails[:] = of.probabilities
    for row, logits in enumerate(of.logits):
        kept["ids"][row] = _likeliest(logits)
    kept["logprobs"] = _logprobs(of.logits, of.log_sum, kept["ids"])
    kept["tail"] = _tail_mass(tails, kept["ids"])
    offsets = np.random.default_rng(seed).random(len(of.logits))
    for row, tail in enumerate(tails):
        kept["sample_ids"][row] = _systematic(tail, offsets[row])
    kept["sample_logprobs"] = _logprobs(of.logits, of.log_sum, kept["sample_ids"])
    kept["nll"], kept["margin"], kept["entropy"] = of.nll, of.margin, of.entropy
    return kept


def compare(logits: rows.Rows, following: NDArray[np.intp], kept: Kept, scratch: rows.Scratch) -> Compared:
    """Raises NotFinite.

    With r = (q / q's tail) / (p / p's tail) of the sampled tokens, both the mean of r - 1 - ln r and that of
    -ln r are unbiased, since the mean of r is 1.
    """
    probabilities = scratch.work[: len(logits)]
    top, log_sum = rows.log_sums(logits, probabilities)
    rows.normalize(probabilities, logits, top, log_sum)
    tail, own_tail = kept["tail"], _tail_mass(probabilities, kept["ids"])
    log_ratio = np.log(np.maximum(tail, _LEAST_TAIL) / np.maximum(own_tail, _LEAST_TAIL))
    logprobs = kept["logprobs"].astype(np.float64)
    own = _logprobs(logits, log_sum, kept["ids"])
    lumped = (np.exp(logprobs) * (logprobs - own)).sum(axis=1) + tail * log_ratio
    own = _logprobs(logits, log_sum, kept["sample_ids"])
    log_r = own.astype(np.float64) - kept["sample_logprobs"] + log_ratio[:, None]
    nll = log_sum - logits[np.arange(len(following)), following]
    rows.check(nll, lumped, log_r)
    steady = tail * (np.exp(log_r) - 1 - log_r).mean(axis=1)
    light = tail * -log_r.mean(axis=1)
    return Compared(nll, lumped, steady, light, top == kept["ids"][:, 0])


def _likeliest(logits: NDArray[np.float32]) -> NDArray[np.int32]:
    found = shortlist(logits, _TOP)
    # The first of equals first, as argmax has it.
    order = np.argsort(-found["logit"], kind="stable")[:_TOP]
    ids: NDArray[np.int32] = found["id"][order]
    return ids


def _logprobs(logits: rows.Rows, log_sum: NDArray[np.float64], ids: NDArray[np.int32]) -> NDArray[np.float32]:
    found = np.take_along_axis(logits, ids.astype(np.intp), axis=1) - log_sum[:, None]
    logprobs: NDArray[np.float32] = found.astype(np.float32)
    return logprobs


def _tail_mass(probabilities: rows.Rows, ids: NDArray[np.int32]) -> NDArray[np.float64]:
    """Also makes 0 of the probabilities of `ids`."""
    np.put_along_axis(probabilities, ids.astype(np.intp), 0, axis=1)
    mass: NDArray[np.float64] = probabilities.sum(axis=1, dtype=np.float64)
    return mass


def _systematic(tail: NDArray[np.float32], offset: float) -> NDArray[np.intp]:
    """Tokens at equal distances of probability; any, if there is none: they weigh nothing."""
    sums = np.cumsum(tail, dtype=np.float64)
    wanted = (offset + np.arange(_SAMPLES)) / _SAMPLES * sums[-1]
    tokens: NDArray[np.intp] = np.minimum(np.searchsorted(sums, wanted, side="right"), len(tail) - 1)
    return tokens
