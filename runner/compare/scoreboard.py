"""What all candidates have scored so far, and what that says of them: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from runner.compare.blocks import Block, CandidateScores, ReferenceScores
from runner.compare.passages import Passages
from runner.compare.quality import summarize, text_bits
from runner.compare.ties import is_settled, tie_groups
from runner.wire.compare import DomainQuality, Quality, TokenHeat

_STRIP_TOKENS = 160


class Score(NamedTuple):
    """Of one block; a record of the reference is a little coarser than the reference, so each candidate has
    its own."""

    reference: ReferenceScores
    candidate: CandidateScores


class Scoreboard:
    """Blocks may come in any order; figures count those that are there."""

    def __init__(self, passages: Passages, noise_floor: float) -> None:
        self.passages = passages
        self._noise_floor = noise_floor
        self._scores: dict[str, dict[int, Score]] = {}

    def enter(self, name: str, scores: dict[int, Score]) -> None:
        """A candidate with what it scored before: nothing is settled without it."""
        self._scores[name] = scores

    def add(self, name: str, index: int, score: Score) -> None:
        self._scores[name][index] = score

    def has(self, name: str, block: Block) -> bool:
        return block.index in self._scores.get(name, {})

    def is_complete(self, name: str) -> bool:
        return all(self.has(name, block) for block in self.passages.blocks)

    def drop(self, name: str) -> None:
        """Of a candidate that broke in the middle: its figures are not to be trusted."""
        self._scores.pop(name, None)

    def quality(self, name: str) -> tuple[Quality, dict[str, DomainQuality]] | None:
        """None before the first block."""
        both = self.passages.main, self.passages.fixed
        main, fixed = ([block for block in blocks if self.has(name, block)] for blocks in both)
        if not main:
            return None
        scores = self._scores[name]
        quality, domains = _summary(main, scores)
        if self.passages.fixed:
            # By itself: beside text that is easier for candidates every kind of answer would fare worse.
            bits, beside = _summary(fixed, scores)
            each = text_bits(fixed, [scores[block.index].candidate.nll for block in fixed])
            more = {"bits_per_byte": bits.bits_per_byte, "text_bits": each}
            quality = quality.model_copy(update=more)
            domains |= beside
        return quality, domains

    def reference_quality(self) -> tuple[Quality, dict[str, DomainQuality]] | None:
        """Of the reference beside itself, where any candidate was scored."""
        complete = max(self._scores, key=lambda name: len(self._scores[name]), default=None)
        if complete is None:
            return None
        itself = Scoreboard(self.passages, self._noise_floor)
        scores = self._scores[complete].items()
        itself.enter("", {i: Score(each.reference, _itself(each.reference)) for i, each in scores})
        return itself.quality("")

    def is_settled(self) -> bool:
        return bool(self._scores) and is_settled(self._common(), self._noise_floor)

    def ties(self) -> list[list[str]]:
        return tie_groups(self._common(), self._noise_floor) if self._scores else []

    def strip(self, name: str, block: Block, pieces: Sequence[bytes]) -> list[TokenHeat]:
        """The first tokens of one block, whose scored ones `pieces` spell."""
        score = self._scores.get(name, {}).get(block.index)
        if score is None:
            return []
        candidate = score.candidate
        columns = zip(pieces, candidate.kld, score.reference.margin, candidate.same_top, strict=True)
        return [
            TokenHeat(
                text=piece.decode("utf-8", "replace"), kld=float(kld), margin=float(margin), is_flip=not same
            )
            for piece, kld, margin, same in list(columns)[:_STRIP_TOKENS]
        ]

    def _common(self) -> dict[str, list[CandidateScores]]:
        """The blocks of the main text that every candidate has: only those compare."""
        blocks = [b for b in self.passages.main if all(self.has(name, b) for name in self._scores)]
        return {
            name: [scores[block.index].candidate for block in blocks] for name, scores in self._scores.items()
        }


def _summary(blocks: Sequence[Block], scores: dict[int, Score]) -> tuple[Quality, dict[str, DomainQuality]]:
    found = [scores[block.index] for block in blocks]
    return summarize(blocks, [each.reference for each in found], [each.candidate for each in found])


def _itself(reference: ReferenceScores) -> CandidateScores:
    count = len(reference.nll)
    return CandidateScores(reference.nll, np.zeros(count), np.ones(count, np.bool_))
