"""What is answered greedily: questions of the prompt pack, exercises, or the beginnings of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from runner.compare import corpus
from runner.compare.blocks import Block, Tokenizer
from runner.compare.exercises import exercises
from runner.compare.forks import Asked, GreedyAnswer
from runner.compare.plan import EXERCISE_TOKENS, Answering
from runner.compare.rendering import Chat, prompt_tokens, rendered
from runner.compare.scoring import Scorer

TOGETHER = 3
"""Prompts that are answered side by side: three take 0.56 of the time of one after another, nine no less than
0.52; and a kill loses no more."""

_OPENING_TOKENS = 64


def in_groups(prompts: Sequence[Asked]) -> Iterator[Sequence[Asked]]:
    """What is answered side by side."""
    for start in range(0, len(prompts), TOGETHER):
        yield prompts[start : start + TOGETHER]


def answer(scorer: Scorer, group: Sequence[Asked]) -> list[tuple[GreedyAnswer, ...]]:
    """To each prompt, of every model."""
    return scorer.answer([each.tokens for each in group], [each.max_tokens for each in group])


def questions(wanted: Answering) -> list[Asked]:
    """For a model with a chat template."""
    pack = islice(corpus.prompts(), wanted.prompts)
    return [*(Asked(text, domain, wanted.max_tokens) for domain, text in pack), *exercise_questions(wanted)]


def exercise_questions(wanted: Answering) -> list[Asked]:
    return [Asked(each.prompt, each.domain, EXERCISE_TOKENS) for each in exercises(wanted.exercises)]


def in_chat(tokenizer: Tokenizer, chat: Chat, asked: Sequence[Asked]) -> list[Asked]:
    """Raises TemplateFailed and WorkerFailed as `rendered` does."""
    segments = rendered(chat, [each.prompt for each in asked])
    return [
        replace(each, tokens=tuple(prompt_tokens(tokenizer, chat, rendering)))
        for each, rendering in zip(asked, segments, strict=True)
    ]


def openings(tokenizer: Tokenizer, blocks: Sequence[Block], wanted: Answering) -> list[Asked]:
    """For a model without one, or a text of the user's."""
    found = []
    for block in blocks[: wanted.prompts]:
        tokens = block.tokens[:_OPENING_TOKENS]
        text = b"".join(tokenizer.pieces(tokens)).decode("utf-8", "replace")
        found.append(Asked(text, block.domain, wanted.max_tokens, tokens))
    return found
