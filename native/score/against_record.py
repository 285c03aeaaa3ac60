"""A candidate beside the reference's record, when both do not fit into memory together."""

from __future__ import annotations

from collections.abc import Sequence

from native.score import record, rows
from native.score.failed import failing
from native.score.models import Reader
from native.score.workers import Block, Places, Workers

# Nats: beyond this, the estimate of the tail that is never negative has too heavy an upper end.
_MUCH = 0.5


class AgainstRecord:
    """The first block decides how the tails of all are estimated: a mean of both would be neither's."""

    def __init__(self) -> None:
        self._differs_much: bool | None = None

    def score(self, workers: Workers, reader: Reader, block: Block, kept: record.Kept) -> rows.Candidate:
        """Raises Failed."""

        def some(at: Places) -> record.Compared:
            with failing(0):
                there = kept[at.first : at.first + len(at.following)]
                return record.compare(at.logits, at.following, there, at.scratch)

        ((parts,),) = workers.over([reader], [block], [some])
        return self._joined(parts)

    def _joined(self, parts: Sequence[record.Compared]) -> rows.Candidate:
        whole = rows.joined(parts)
        if self._differs_much is None:
            self._differs_much = bool(whole.lumped.mean() > _MUCH)
        tail = whole.light if self._differs_much else whole.steady
        return rows.Candidate(whole.nll, whole.lumped + tail, whole.same_top, whole.lumped)
