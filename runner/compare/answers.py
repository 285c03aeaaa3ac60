"""The reference's own answers, to be scored: what people will read, and no model has learned by heart."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from modelstore.errors import Unusable
from runner.compare import corpus
from runner.compare.block import Block
from runner.compare.blocks import Tokenizer, block
from runner.compare.rendering import Chat, prompt_tokens, rendered

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
_LEAST_ANSWERS = 16


class Author(Tokenizer, Protocol):
    """The part of a `Scorer` that writes."""

    def sample_together(
        self, prompts: Sequence[Sequence[int]], max_tokens: int, seeds: Sequence[int]
    ) -> list[list[int]]: ...


@dataclass(frozen=True, slots=True)
class AnswerPlan:
    """`tokens` to write in all, `max_tokens` in one answer; no new answers after `seconds`, once there are
    enough to say anything."""

    tokens: int
    max_tokens: int
    seconds: float
    seed: int

    @classmethod
    def of(cls, chunks: int, seed: int) -> AnswerPlan:
        """As many scored tokens as llama-perplexity takes from `chunks` chunks of 512."""
        longest = _FEW_TOKENS if chunks <= _FEW_CHUNKS else _MOST_TOKENS
        return cls(chunks * _CHUNK_TOKENS, longest, chunks * _CHUNK_S, seed)


def answer_blocks(author: Author, chat: Chat, plan: AnswerPlan, report: Report) -> Iterator[Block]:
    """Sampled at temperature 1, domains in turn; only the assistant's tokens are scored. Ends when prompts
    run out, at the latest.

    Raises Unusable if most answers are empty or go in circles, TemplateFailed as `rendered` does.
    """
    questions = corpus.prompts()
    prompts = rendered(chat, [question for _, question in questions])
    started = time.perf_counter()
    asked = kept = written = 0
    numbers = count()
    for start in range(0, len(prompts), _TOGETHER):
        is_late = time.perf_counter() - started > plan.seconds
        if written >= plan.tokens or (is_late and asked >= _LEAST_ANSWERS):
            return
        chosen = range(start, min(start + _TOGETHER, len(prompts)))
        tokens = [prompt_tokens(author, chat, prompts[index]) for index in chosen]
        answers = author.sample_together(tokens, plan.max_tokens, [plan.seed + index for index in chosen])
        asked += len(chosen)
        for index, prompt, answer in zip(chosen, tokens, answers, strict=True):
            if is_worth_scoring(b"".join(author.pieces(answer))):
                domain = questions[index][0]
                yield block(author, next(numbers), domain, [*prompt, *answer], len(prompt))
                kept, written = kept + 1, written + len(answer)
        _refuse_if_broken(asked, kept)
        report(min(written, plan.tokens), plan.tokens)


def is_worth_scoring(answer: bytes) -> bool:
    """Not empty, and not going in circles: what repeats itself is easy for any quantization."""
    half = answer[len(answer) // 2 :]
    if len(half) < _LOOP_LEAST_BYTES:
        return bool(answer.strip())
    return len(half) / len(zlib.compress(half, 9)) < _LOOP_RATIO


def _refuse_if_broken(asked: int, kept: int) -> None:
    if asked >= _LEAST_ANSWERS and kept * 4 < asked:
        raise Unusable(
            f"{asked - kept} of {asked} answers of the reference are empty or go in circles",
            hint="its chat template may be wrong, or its file broken; --text scores a text of yours instead",
        )
