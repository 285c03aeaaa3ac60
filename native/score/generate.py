"""What models write: the reference by chance, all of them greedily."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from native.llama import Context
from native.score import rows
from native.score.models import TILE_TOKENS, ScoredModel, pieces
from native.shortlist import shortlist

_SHOWN_CHOICES = 3


@dataclass(slots=True)
class GreedyAnswer:
    """`tokens` end with the end token if `ended`; `top` are the likeliest three of each step, (token, ln p),
    best first."""

    tokens: list[int] = field(default_factory=list)
    ended: bool = False
    top: list[list[tuple[int, float]]] = field(default_factory=list)


def sample(
    model: ScoredModel, prompts: Sequence[Sequence[int]], max_tokens: int, seeds: Sequence[int]
) -> list[list[int]]:
    """Answers at temperature 1 from all tokens, the prompts side by side. Raises LlamaError or NotFinite."""
    chances = [np.random.default_rng(seed) for seed in seeds]
    answers: list[list[int]] = [[] for _ in prompts]
    longest = max(len(prompt) for prompt in prompts) + max_tokens
    context = model.context(longest, len(prompts))
    try:
        for number, logits in _first_steps(context, prompts):
            answers[number].append(_draw(logits, chances[number]))
        while writing := [n for n, a in enumerate(answers) if len(a) < max_tokens and not _ended(model, a)]:
            context.batch.clear()
            for number in writing:
                position = len(prompts[number]) + len(answers[number]) - 1
                context.batch.add(number, position, answers[number][-1:], outputs=1)
            context.decode()
            for row, number in enumerate(writing):
                answers[number].append(_draw(context.logits(row), chances[number]))
    finally:
        context.close()
    return answers


def answer(model: ScoredModel, prompt: Sequence[int], max_tokens: int, threads: int) -> GreedyAnswer:
    """Raises LlamaError or NotFinite."""
    reader = model.reader(len(prompt) + max_tokens)
    reader.use_threads(threads)
    context = reader.context
    found = GreedyAnswer()
    logits = next(logits for _, logits in _first_steps(context, [prompt]))
    while True:
        found.top.append(_choices(logits))
        found.tokens.append(found.top[-1][0][0])
        found.ended = _ended(model, found.tokens)
        if found.ended or len(found.tokens) == max_tokens:
            return found
        context.batch.clear()
        context.batch.add(0, len(prompt) + len(found.tokens) - 1, found.tokens[-1:], outputs=1)
        context.decode()
        logits = context.logits(0)


def _first_steps(
    context: Context, prompts: Sequence[Sequence[int]]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Reads the prompts, one after another; logits behind each, valid until the next one."""
    for number, prompt in enumerate(prompts):
        for piece in pieces(len(prompt), len(prompt) - 1, TILE_TOKENS):
            context.batch.clear()
            end = context.batch.add(number, piece.start, prompt[piece.start : piece.end], piece.outputs)
            context.decode()
        yield number, context.logits(end - 1)


def _draw(logits: NDArray[np.float32], chance: np.random.Generator) -> int:
    exponentials = np.empty((1, len(logits)), np.float32)
    rows.log_sums(logits[None], exponentials)
    sums = np.cumsum(exponentials[0], dtype=np.float64)
    return int(np.searchsorted(sums, chance.random() * sums[-1], side="right"))


def _choices(logits: NDArray[np.float32]) -> list[tuple[int, float]]:
    """Of equals the first, as argmax has it."""
    _, log_sum = rows.log_sums(logits[None], np.empty((1, len(logits)), np.float32))
    found = shortlist(logits, _SHOWN_CHOICES)
    best = found[np.argsort(-found["logit"], kind="stable")[:_SHOWN_CHOICES]]
    return [(int(choice["id"]), float(choice["logit"] - log_sum[0])) for choice in best]


def _ended(model: ScoredModel, tokens: Sequence[int]) -> bool:
    return model.model.is_end(tokens[-1])
