"""Scores of one block as bytes: the same numbers again, 37 bytes a token at most."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from modelstore.errors import NybbleError
from runner.compare.block import TEMPERATURES, CandidateScores, ReferenceScores

_VERSION = 1
_HEADER = struct.Struct("<BI")
"""Version and number of tokens; what follows is compressed."""

_COLUMNS: tuple[np.dtype[np.generic], ...] = (
    np.dtype("<f8"),
    np.dtype("<f4"),
    np.dtype("<f4"),
    np.dtype("<f8"),
    np.dtype("<f8"),
)
"""nll, margin and entropy of the reference, nll and kld of the candidate."""


def encode(reference: ReferenceScores, candidate: CandidateScores) -> bytes:
    """What `decode` makes equal arrays of, to the last bit."""
    columns: tuple[NDArray[np.floating], ...] = (
        reference.nll, reference.margin, reference.entropy, candidate.nll, candidate.kld,
    )  # fmt: skip
    parts = [_shuffled(column.astype(kind)) for column, kind in zip(columns, _COLUMNS, strict=True)]
    parts.append(reference.kld_at.astype("<f8").tobytes())
    parts.append(np.packbits(candidate.same_top).tobytes())
    return _HEADER.pack(_VERSION, len(reference.nll)) + zlib.compress(b"".join(parts))


def decode(payload: bytes) -> tuple[ReferenceScores, CandidateScores]:
    """Raises NybbleError for bytes that `encode` did not write."""
    try:
        version, tokens = _HEADER.unpack_from(payload)
        if version != _VERSION:
            raise ValueError(f"version {version}")
        return _parsed(zlib.decompress(payload[_HEADER.size :]), tokens)
    except (ValueError, struct.error, zlib.error) as error:
        raise NybbleError(
            f"stored scores are damaged: {error}", hint="remove evidence.sqlite3 to measure again"
        ) from error


def _parsed(data: bytes, tokens: int) -> tuple[ReferenceScores, CandidateScores]:
    columns: list[NDArray[np.generic]] = []
    offset = 0
    for kind in _COLUMNS:
        columns.append(_unshuffled(data[offset : offset + tokens * kind.itemsize], kind))
        offset += tokens * kind.itemsize
    kld_at = np.frombuffer(data, "<f8", len(TEMPERATURES), offset)
    packed = np.frombuffer(data, np.uint8, -1, offset + kld_at.nbytes)
    if any(len(column) != tokens for column in columns) or len(packed) != (tokens + 7) // 8:
        raise ValueError("a wrong length")
    nll, margin, entropy, candidate_nll, kld = columns
    same_top = np.unpackbits(packed, count=tokens).astype(np.bool_)
    return (
        ReferenceScores(nll, margin, entropy, kld_at),  # type: ignore[arg-type]
        CandidateScores(candidate_nll, kld, same_top),  # type: ignore[arg-type]
    )


def _shuffled(values: NDArray[np.generic]) -> bytes:
    """All first bytes, then all second ones and so on: signs and exponents, which repeat, get together."""
    rows = values.view(np.uint8).reshape(len(values), values.itemsize)
    return rows.T.tobytes()


def _unshuffled(data: bytes, kind: np.dtype[np.generic]) -> NDArray[np.generic]:
    rows = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
    return np.ascontiguousarray(rows.T).view(kind).reshape(-1)
