"""Scores with a known truth: texts differ, and tokens of one text resemble each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.compare.blocks import TEMPERATURES, Block, CandidateScores, ReferenceScores

DOMAINS = ("prose", "code", "math", "json")


def blocks(count: int, tokens: int, domains: Sequence[str] = DOMAINS) -> list[Block]:
    """Each with one token before the first that is scored; four bytes a token."""
    return [
        Block(index, domains[index % len(domains)], tuple(range(tokens + 1)), 1, 4 * tokens)
        for index in range(count)
    ]


def reference(count: int, tokens: int, seed: int) -> list[ReferenceScores]:
    """KL divergence at another temperature T is (T - 1)² / 2 a token."""
    draw = np.random.default_rng(seed)
    at = np.array([(temperature - 1) ** 2 / 2 * tokens for temperature in TEMPERATURES])
    return [
        ReferenceScores(
            nll=draw.exponential(2.0, tokens),
            margin=draw.exponential(1.0, tokens).astype(np.float32),
            entropy=draw.exponential(1.0, tokens).astype(np.float32),
            kld_at=at,
        )
        for _ in range(count)
    ]


def candidate(
    of: Sequence[ReferenceScores],
    kld: float,
    seed: int,
    spread: float = 0.4,
    harder: Sequence[float] = (1.0,),
) -> list[CandidateScores]:
    """Mean KL divergence `kld`; a text's own mean is log-normal with `spread`. `harder` multiplies it, in
    turn."""
    draw = np.random.default_rng(seed)
    found = []
    for place, scores in enumerate(of):
        tokens = len(scores.nll)
        text_mean = kld * harder[place % len(harder)] * np.exp(draw.normal(-(spread**2) / 2, spread))
        flip = 0.8 * np.exp(-3 * scores.margin) * np.exp(draw.normal(-(spread**2) / 2, spread))
        found.append(
            CandidateScores(
                nll=scores.nll + draw.normal(0, 0.1, tokens),
                kld=draw.exponential(text_mean, tokens),
                same_top=draw.random(tokens) >= np.minimum(flip, 1.0),
            )
        )
    return found
