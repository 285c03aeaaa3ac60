"""A reference and candidates over the same blocks: what is asked of their logits is asked side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from native.score import record, rows
from native.score.failed import failing
from native.score.models import Reader
from native.score.workers import Block, Places, Work, Workers


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """One value for each scored token, natural logarithms; of `kld_at` one for each temperature: the sum.
    `kept` is what the record keeps, if there is one."""

    nll: NDArray[np.float64]
    margin: NDArray[np.float32]
    entropy: NDArray[np.float32]
    kld_at: NDArray[np.float64]
    kept: record.Kept | None = None


@dataclass(frozen=True, slots=True)
class Lockstep:
    """The first model is the reference."""

    temperatures: tuple[float, ...]
    keeps: bool = False

    def score(
        self, workers: Workers, readers: Sequence[Reader], blocks: Sequence[Block]
    ) -> Iterator[tuple[ReferenceScores, list[rows.Candidate]]]:
        """Of each block. Raises Failed."""
        works: list[Work[Any]] = [self._of_reference]
        works += [partial(_of_candidate, model) for model in range(1, len(readers))]
        for references, *candidates in workers.over(readers, blocks, works):
            yield _joined_reference(references), [rows.joined(each) for each in candidates]

    def _of_reference(self, at: Places) -> ReferenceScores:
        with failing(0):
            found = rows.reference(at.reference, at.following, at.scratch)
        seed = at.block.index * 2**20 + at.first
        kept = record.keep(found, at.scratch, seed) if self.keeps else None
        kld_at = rows.divergence_at(self.temperatures, found, at.scratch)
        return ReferenceScores(found.nll, found.margin, found.entropy.astype(np.float32), kld_at, kept)


def _of_candidate(model: int, at: Places) -> rows.Candidate:
    with failing(0):
        against = rows.reference(at.reference, at.following, at.scratch)
    with failing(model):
        return rows.candidate(at.logits, at.following, against, at.scratch)


def _joined_reference(parts: Sequence[ReferenceScores]) -> ReferenceScores:
    return replace(rows.joined(parts), kld_at=np.sum([part.kld_at for part in parts], axis=0))
