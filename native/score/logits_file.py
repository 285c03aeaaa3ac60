"""The file that llama-perplexity writes a reference's distributions to, 16 bits a probability; as read in its
source. Little-endian:

"_logits_"; int32 tokens of a chunk, size of the vocabulary, number of chunks; int32 tokens of all chunks.
Then for each chunk, and each prediction made at the positions from its middle to the last but one: float32
scale and least, and for each token of the vocabulary (their number rounded up to an even one) uint16 u, where
ln p = scale · u + least.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from native.score import rows
from native.score.record_file import RecordUnusable
from native.score.workers import Block, Places

_HEAD = struct.Struct("<8s3i")
# Nothing is kept of what is 16 below the first choice: llama-perplexity counts what says so as nothing.
_LEAST_LOGPROB = -16.0
_ROUNDING = 1e-3


class LogitsFile:
    """`chunks` are the tokens as llama-perplexity reads them, (chunks, tokens)."""

    def __init__(self, path: Path, vocabulary_size: int, beginning: Sequence[int]) -> None:
        """`beginning` is what this vocabulary begins texts with, of one token or none. Raises RecordUnusable
        and OSError."""
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
        if not head.startswith(b"_logits_"):
            raise RecordUnusable("this is no file of llama-perplexity's: it does not begin with _logits_")
        if len(head) < _HEAD.size:
            raise RecordUnusable("llama-perplexity's file is damaged: nothing is in it")
        _, length, size, count = _HEAD.unpack(head)
        if size != vocabulary_size:
            what = f"{size} tokens, and the model's {vocabulary_size}"
            raise RecordUnusable(f"llama-perplexity's file has another vocabulary: it has {what}")
        row = np.dtype([("scale", "<f4"), ("least", "<f4"), ("steps", "<u2", size + size % 2)])
        self.scored = length - 1 - length // 2
        start = _HEAD.size + 4 * length * count
        found, whole = path.stat().st_size, start + self.scored * count * row.itemsize
        if min(count, self.scored) < 1 or found != whole:
            raise RecordUnusable(f"llama-perplexity's file is damaged: {found} bytes, and not {whole}")
        self.chunks = np.fromfile(path, "<i4", length * count, offset=_HEAD.size).reshape(count, length)
        self.chunks[:, : len(beginning)] = beginning
        self._size = size
        self._rows = np.memmap(path, row, "r", start)
        if not (self._rows["scale"] * 65535 + self._rows["least"] <= _ROUNDING).all():
            raise RecordUnusable("llama-perplexity's file is damaged: there are probabilities above 1")

    def check(self, block: Block) -> None:
        """Raises RecordUnusable for one that is not the chunk of its index."""
        is_there = block.index < len(self.chunks) and len(block.tokens) - block.first_scored == self.scored
        if not is_there or list(block.tokens) != self.chunks[block.index].tolist():
            raise RecordUnusable(f"llama-perplexity's file has other tokens than block {block.index}")

    def candidate(self, at: Places) -> rows.Candidate:
        """Beside the file's rows. Raises NotFinite."""
        start = at.block.index * self.scored + at.first
        stored = self._rows[start : start + len(at.following)]
        logprobs = at.scratch.shifted[: len(stored)]
        probabilities = at.scratch.probabilities[: len(stored)]
        np.multiply(stored["steps"][:, : self._size], stored["scale"][:, None], out=logprobs)
        logprobs += stored["least"][:, None]
        np.exp(logprobs, out=probabilities)
        probabilities[logprobs <= _LEAST_LOGPROB] = 0
        log_sum = np.zeros(len(stored))
        against = rows.Distributions(logprobs, probabilities, log_sum, logprobs.argmax(axis=1))
        return rows.candidate(at.logits, at.following, against, at.scratch)
