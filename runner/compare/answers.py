"""The reference's own answers, to be scored: what people will read, and no model has learned by heart."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from pydantic import TypeAdapter

from modelstore.errors import Unusable
from runner.compare import corpus
from runner.compare.blocks import Block, block
from runner.compare.evidence import Evidence, Key
from runner.compare.rendering import Chat, prompt_tokens, rendered
from runner.compare.scoring import Drafts, Scorer

Report = Callable[[int, int], None]
"""Tokens written so far, and wanted."""

# Writing several at once costs less than one after another, and those that end early leave the others alone.
_TOGETHER = 24
_CHUNK_TOKENS = 255
# A reference that is too slow for all tokens writes for so long.
_CHUNK_S = 1.25
# Few tokens are better spent on more answers: errors shrink with the number of answers, not of tokens.
_FEW_CHUNKS, _FEW_TOKENS, _MOST_TOKENS = 16, 128, 256
# Bytes by compressed bytes: writing of any kind and language stays below, lines that come again are above.
_LOOP_RATIO = 4.0
_LOOP_LEAST_BYTES = 120


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """`tokens` to write in all, `max_tokens` in one answer; no new answers after `seconds` of writing."""

    tokens: int
    max_tokens: int
    seconds: float
    seed: int

    @classmethod
    def of(cls, chunks: int, seed: int) -> AnswerPlan:
        """As many scored tokens as llama-perplexity takes from `chunks` chunks of 512."""
        longest = _FEW_TOKENS if chunks <= _FEW_CHUNKS else _MOST_TOKENS
        return cls(chunks * _CHUNK_TOKENS, longest, chunks * _CHUNK_S, seed)

    @property
    def batches(self) -> str:
        """What each of its batches depends on: longer plans begin with those of shorter ones."""
        return f"{_TOGETHER} answers at a time, {self.max_tokens} tokens each, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers written at once, without those that are not worth scoring, and the seconds that took."""

    seconds: float
    blocks: tuple[Block, ...]

    @property
    def tokens(self) -> int:
        """To be scored."""
        return sum(each.scored_tokens for each in self.blocks)


@dataclass(frozen=True, slots=True)
class Draft:
    """The batch of that number, which is being written: its answers so far, and the seconds that took."""

    batch: int
    seconds: float = 0.0
    answers: Drafts = ()

    @property
    def tokens(self) -> int:
        return sum(len(answer) for answer in self.answers)


_DRAFT_NUMBER = -1
"""Among the batches that are kept."""
_BATCH, _DRAFT = TypeAdapter(Batch), TypeAdapter(Draft)


class Writer:
    """Writes batch after batch, sampled at temperature 1, domains in turn; only the assistant's tokens are
    scored."""

    def __init__(self, chat: Chat, plan: AnswerPlan) -> None:
        self.plan = plan
        self.batches: list[Batch] = []
        self._chat = chat
        self._questions = corpus.prompts()
        self._prompts: list[tuple[str, ...]] = []

    @property
    def blocks(self) -> list[Block]:
        return [each for batch in self.batches for each in batch.blocks]

    @property
    def written(self) -> int:
        """Tokens to be scored."""
        return sum(batch.tokens for batch in self.batches)

    @property
    def is_done(self) -> bool:
        """Enough, too late for more, or no prompts left; there is one batch at least."""
        is_late = bool(self.batches) and sum(each.seconds for each in self.batches) > self.plan.seconds
        is_all = len(self.batches) * _TOGETHER >= len(self._questions)
        return self.written >= self.plan.tokens or is_late or is_all

    def add_batch(self, author: Scorer, begun: Draft | None = None) -> Iterator[Draft]:
        """Another batch, behind what was `begun` of it; says after each step what is written of it so far.
        Raises Unusable if most of the first answers are empty or go in circles, TemplateFailed as `rendered`
        does."""
        if not self._prompts:
            self._prompts = rendered(self._chat, [question for _, question in self._questions])
        begun = begun or Draft(len(self.batches))
        started = time.perf_counter() - begun.seconds
        first = begun.batch * _TOGETHER
        chosen = range(first, min(first + _TOGETHER, len(self._prompts)))
        prompts = [prompt_tokens(author, self._chat, self._prompts[index]) for index in chosen]
        seeds = [self.plan.seed + index for index in chosen]
        answers = begun.answers
        for answers in author.sample(prompts, self.plan.max_tokens, seeds, begun.answers):
            yield Draft(begun.batch, time.perf_counter() - started, answers)
        numbers = count(len(self.blocks))
        blocks = [
            block(author, next(numbers), self._questions[index][0], [*prompt, *answer], len(prompt))
            for index, prompt, answer in zip(chosen, prompts, answers, strict=True)
            if is_worth_scoring(b"".join(author.pieces(answer)))
        ]
        if first == 0:
            _refuse_if_broken(len(answers), len(blocks))
        self.batches.append(Batch(time.perf_counter() - started, tuple(blocks)))


def answer_blocks(author: Scorer, chat: Chat, plan: AnswerPlan, report: Report) -> Iterator[Block]:
    """All that the plan asks for. Raises what `Writer.add_batch` raises."""
    writer = Writer(chat, plan)
    while not writer.is_done:
        for _ in writer.add_batch(author):
            pass
        yield from writer.batches[-1].blocks
        report(min(writer.written, plan.tokens), plan.tokens)


def is_worth_scoring(answer: bytes) -> bool:
    """Not empty, and not going in circles: what repeats itself is easy for any quantization."""
    half = answer[len(answer) // 2 :]
    if len(half) < _LOOP_LEAST_BYTES:
        return bool(answer.strip())
    return len(half) / len(zlib.compress(half, 9)) < _LOOP_RATIO


def _refuse_if_broken(asked: int, kept: int) -> None:
    if kept * 4 < asked:
        raise Unusable(
            f"{asked - kept} of {asked} answers of the reference are empty or go in circles",
            hint="its chat template may be wrong, or its file broken; --text scores a text of yours instead",
        )


class Manuscript(Writer):
    """As they are kept under `key`: a resumed run scores the same tokens, and goes on behind them."""

    def __init__(self, chat: Chat, plan: AnswerPlan, evidence: Evidence, key: Key) -> None:
        super().__init__(chat, plan)
        self._evidence = evidence
        self._key = key
        for number, payload in evidence.pieces(key).items():
            if number != _DRAFT_NUMBER and not self.is_done:
                self.batches.append(_BATCH.validate_json(payload))

    @property
    def missing_tokens(self) -> int:
        """That are still to be written."""
        return 0 if self.is_done else self.plan.tokens - self.written

    def write(self, scorer: Scorer, report: Report) -> None:
        """Another batch by the first of the scorer's models. It is kept while it is written, a block's worth
        at a time, and gone on with after a kill. Raises as `add_batch` does."""
        number, found = len(self.batches), self._evidence.pieces(self._key).get(_DRAFT_NUMBER)
        begun = _DRAFT.validate_json(found) if found else None
        if begun is None or begun.batch != number:
            begun = Draft(number)
        kept = begun.tokens
        for draft in self.add_batch(scorer, begun):
            if draft.tokens - kept >= self.plan.max_tokens:
                kept = draft.tokens
                self._evidence.keep_piece(self._key, _DRAFT_NUMBER, _DRAFT.dump_json(draft), is_draft=True)
                report(min(self.written + kept, self.plan.tokens), self.plan.tokens)
        self._evidence.keep_piece(self._key, number, _BATCH.dump_json(self.batches[number]))
        # Another comparison may have been first, and scored what it wrote.
        self.batches[number] = _BATCH.validate_json(self._evidence.pieces(self._key)[number])
