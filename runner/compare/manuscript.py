"""The reference's answers as they are written and kept: a resumed run scores the same tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from runner.compare.answers import NOTHING, AnswerPlan, Batch, Draft, Report, Writer
from runner.compare.blocks import Block
from runner.compare.evidence import Evidence, Key
from runner.compare.rendering import Chat
from runner.compare.scoring import Scorer


class Manuscript:
    """Goes on behind what is kept under `key`."""

    def __init__(self, chat: Chat, plan: AnswerPlan, evidence: Evidence, key: Key) -> None:
        self._writer = Writer(chat, plan)
        self._evidence = evidence
        self._key = key
        for payload in evidence.pieces(key).values():
            if not self._writer.is_done:
                self._writer.batches.append(_batch(payload))

    @property
    def blocks(self) -> list[Block]:
        return self._writer.blocks

    @property
    def batches(self) -> Sequence[Batch]:
        return self._writer.batches

    @property
    def missing_tokens(self) -> int:
        """That are still to be written."""
        return 0 if self._writer.is_done else self._writer.plan.tokens - self._writer.written

    def write(self, scorer: Scorer, report: Report) -> None:
        """Another batch by the first of the scorer's models. It is kept while it is written, a block's worth
        at a time, and gone on with after a kill. Raises as `Writer.write` does."""
        writer, number = self._writer, len(self._writer.batches)
        key = replace(self._key, what=f"{self._key.what}, draft of batch {number}")
        begun = _draft(self._evidence.pieces(key))
        kept = begun.tokens
        for draft in writer.write(scorer, begun):
            if draft.tokens - kept >= writer.plan.max_tokens:
                kept = draft.tokens
                self._evidence.keep_draft(key, json.dumps(asdict(draft)).encode())
                report(min(writer.written + kept, writer.plan.tokens), writer.plan.tokens)
        self._evidence.keep_piece(self._key, number, json.dumps(asdict(writer.batches[number])).encode())
        self._evidence.forget(key)
        # Another comparison may have been first, and scored what it wrote.
        writer.batches[number] = _batch(self._evidence.pieces(self._key)[number])


def _draft(pieces: Mapping[int, bytes]) -> Draft:
    return Draft(**json.loads(pieces[0])) if pieces else NOTHING


def _batch(payload: bytes) -> Batch:
    fields = json.loads(payload)
    blocks = (Block(**{**block, "tokens": tuple(block["tokens"])}) for block in fields["blocks"])
    return Batch(fields["seconds"], tuple(blocks))
