"""Scores of one block as bytes: the same numbers again, 37 bytes a token at most."""

from __future__ import annotations

import zlib

import numpy as np

from modelstore.errors import NybbleError
from runner.compare.blocks import TEMPERATURES, CandidateScores, ReferenceScores

FORMAT = "rows"
"""Part of the key of what is kept: what was written in another way is not found, and measured again."""

_NAMES = ("nll", "margin", "entropy", "candidate_nll", "kld", "same_top")
_KINDS = ("<f8", "<f4", "<f4", "<f8", "<f8", "?")
_TOKEN = np.dtype({"names": _NAMES, "formats": _KINDS})
_HEAD_BYTES = 8 * len(TEMPERATURES)
"""What stands before the tokens: `kld_at`."""


def encode(reference: ReferenceScores, candidate: CandidateScores) -> bytes:
    """What `decode` makes equal arrays of, to the last bit."""
    theirs = (candidate.nll, candidate.kld, candidate.same_top)
    tokens = np.rec.fromarrays([reference.nll, reference.margin, reference.entropy, *theirs], dtype=_TOKEN)
    # All first bytes, then all second ones and so on: signs and exponents, which repeat, get together.
    shuffled = tokens.view(np.uint8).reshape(-1, _TOKEN.itemsize).T
    return zlib.compress(reference.kld_at.astype("<f8").tobytes() + shuffled.tobytes())


def decode(payload: bytes) -> tuple[ReferenceScores, CandidateScores]:
    """Raises NybbleError for bytes that `encode` did not write."""
    try:
        data = zlib.decompress(payload)
        kld_at = np.frombuffer(data, "<f8", len(TEMPERATURES))
        shuffled = np.frombuffer(data[_HEAD_BYTES:], np.uint8).reshape(_TOKEN.itemsize, -1)
    except (ValueError, zlib.error) as error:
        raise NybbleError(
            f"stored scores are damaged: {error}", hint="remove evidence.sqlite3 to measure again"
        ) from error
    tokens = np.ascontiguousarray(shuffled.T).view(_TOKEN).reshape(-1)
    return (
        ReferenceScores(tokens["nll"], tokens["margin"], tokens["entropy"], kld_at),
        CandidateScores(tokens["candidate_nll"], tokens["kld"], tokens["same_top"]),
    )
