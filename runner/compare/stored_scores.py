"""Scores of one block as bytes: the same numbers again, 37 bytes a token at most."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstore.errors import NybbleError
from runner.compare.blocks import TEMPERATURES, CandidateScores, ReferenceScores

_VERSION = 1
_HEADER = struct.Struct("<BI")
"""Version and number of tokens; what follows is compressed."""

_COLUMNS: list[np.dtype[np.floating]] = [np.dtype(kind) for kind in ("<f8", "<f4", "<f4", "<f8", "<f8")]
"""nll, margin and entropy of the reference, nll and kld of the candidate."""


def encode(reference: ReferenceScores, candidate: CandidateScores) -> bytes:
    """What `decode` makes equal arrays of, to the last bit."""
    columns: list[NDArray[np.floating]] = [reference.nll, reference.margin, reference.entropy]
    columns += [candidate.nll, candidate.kld]
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
    stream = io.BytesIO(data)
    columns = [_unshuffled(stream.read(tokens * kind.itemsize), kind) for kind in _COLUMNS]
    kld_at = np.frombuffer(stream.read(8 * len(TEMPERATURES)), "<f8", len(TEMPERATURES))
    packed = np.frombuffer(stream.read(), np.uint8)
    if any(len(column) != tokens for column in columns) or len(packed) != (tokens + 7) // 8:
        raise ValueError("a wrong length")
    nll, margin, entropy, candidate_nll, kld = columns
    same_top = np.unpackbits(packed, count=tokens).astype(np.bool_)
    return ReferenceScores(nll, margin, entropy, kld_at), CandidateScores(candidate_nll, kld, same_top)


def _shuffled(values: NDArray[np.floating]) -> bytes:
    """All first bytes, then all second ones and so on: signs and exponents, which repeat, get together."""
    return values.view(np.uint8).reshape(len(values), values.itemsize).T.tobytes()


def _unshuffled(data: bytes, kind: np.dtype[np.floating]) -> NDArray[Any]:
    rows = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
    return np.ascontiguousarray(rows.T).view(kind).reshape(-1)
