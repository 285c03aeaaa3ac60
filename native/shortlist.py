"""The few tokens that a top-k sampler can pick from, found without sorting the vocabulary.

llama.cpp's samplers start from one record for each of 49 to 262 thousand tokens, which costs more than all
that they do after it. The k largest logits are among those not below the k-th largest of any k columns'
maxima.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# One row of maxima for so many logits: of the sizes tried, the fastest for vocabularies from 32k to 262k.
_ROWS = 64
_RECORD = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def shortlist(logits: NDArray[np.float32], count: int) -> NDArray[Any]:
    """At least the `count` most likely tokens, ties of the last one included, as records of (id, logit, 0) in
    ascending order of ids; the whole vocabulary if that is as short."""
    if count == 1:
        ids = logits.argmax(keepdims=True)  # type: ignore[call-overload]
        return _records(ids, logits[ids])
    columns = len(logits) // _ROWS
    if not 0 < count < columns:
        return _records(np.arange(len(logits), dtype=np.int32), logits)
    maxima = logits[: columns * _ROWS].reshape(_ROWS, columns).max(axis=0)
    least = np.partition(maxima, columns - count)[columns - count]
    ids = np.flatnonzero(logits >= least)
    return _records(ids, logits[ids])


def _records(ids: NDArray[Any], logits: NDArray[np.float32]) -> NDArray[Any]:
    records = np.zeros(len(ids), _RECORD)
    records["id"], records["logit"] = ids, logits
    return records
