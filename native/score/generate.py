"""What models write: the reference by chance, all of them greedily."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
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
    model: ScoredModel,
    prompts: Sequence[Sequence[int]],
    max_tokens: int,
    seeds: Sequence[int],
    begun: Sequence[Sequence[int]],
) -> Iterator[list[int | None]]:
    """Answers at temperature 1 from all tokens, the prompts side by side; they go on behind what was `begun`.
    The next token of each, None for one that has ended. Raises LlamaError or NotFinite."""
    chances = [np.random.default_rng(seed) for seed in seeds]
    for chance, tokens in zip(chances, begun, strict=True):
        chance.random(len(tokens))  # these were drawn before
    answers = [list(tokens) for tokens in begun]
    limits = [max_tokens] * len(prompts)
    for written in _write(model, prompts, answers, limits, lambda at, logits: _draw(logits, chances[at])):
        yield [answers[at][-1] if at in written else None for at in range(len(prompts))]


def answer(
    model: ScoredModel, prompts: Sequence[Sequence[int]], limits: Sequence[int], threads: int
) -> list[GreedyAnswer]:
    """Side by side, each at most as long as its limit. Raises LlamaError or NotFinite."""
    found = [GreedyAnswer() for _ in prompts]

    def choose(at: int, logits: NDArray[np.float32]) -> int:
        found[at].top.append(_choices(logits))
        return found[at].top[-1][0][0]

    for _ in _write(model, prompts, [each.tokens for each in found], limits, choose, threads):
        pass
    for each in found:
        each.ended = _ended(model, each.tokens)
    return found


def _write(
    model: ScoredModel,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[list[int]],
    limits: Sequence[int],
    choose: Callable[[int, NDArray[np.float32]], int],
    threads: int | None = None,
) -> Iterator[Sequence[int]]:
    """Adds the chosen tokens to the answers until all have ended or are as long as their limits; says after
    each step which of them grew."""
    longest = max(len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True))

    def open_ones() -> list[int]:
        return [
            at
            for at, tokens in enumerate(answers)
            if len(tokens) < limits[at] and not (tokens and _ended(model, tokens))
        ]

    with contextlib.closing(Context(model, model.options(longest, len(prompts)))) as context:
        if threads is not None:
            context.set_threads(threads, threads)
        writing = open_ones()
        for at in writing:
            answers[at].append(choose(at, _read(context, at, [*prompts[at], *answers[at]])))
        yield writing
        while writing := open_ones():
            context.batch.clear()
            for at in writing:
                context.batch.add(at, len(prompts[at]) + len(answers[at]) - 1, answers[at][-1:], outputs=1)
            context.decode()
            for row, at in enumerate(writing):
                answers[at].append(choose(at, context.logits(row)))
            yield writing


def _read(context: Context, sequence: int, tokens: Sequence[int]) -> NDArray[np.float32]:
    """The logits behind them, valid until the next decode."""
    for piece in pieces(len(tokens), len(tokens) - 1, TILE_TOKENS):
        context.batch.clear()
        end = context.batch.add(sequence, piece.start, tokens[piece.start : piece.end], piece.outputs)
        context.decode()
    return context.logits(end - 1)


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
    return model.is_end(tokens[-1])
