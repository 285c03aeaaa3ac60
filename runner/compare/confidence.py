"""How often a decision comes out the same when every figure is drawn anew within its error."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runner.compare.clusters import resampled_weights
from runner.compare.decide import decide
from runner.compare.lineup import Candidate, Figure, Lineup
from runner.compare.wish import Wish

_SEED = 20_240_229
_MEMORY_ERROR = 0.025
_LEAST_MEMORY_ERROR_BYTES = 32 * 2**20
"""One standard error of a prediction; it is off by the same for all variants, whose buffers are alike."""


def resampled_choices(lineup: Lineup, wish: Wish, resamples: int) -> Counter[str | None]:
    """How often each name, or nothing, is chosen. The same at every call."""
    generator = np.random.default_rng(_SEED)
    draws = generator.standard_normal((resamples, 3 * len(lineup.candidates) + 1))
    texts = max((len(each.bits) for each in lineup.candidates), default=0)
    # All models are asked for the same ones.
    asked = [np.repeat(np.arange(texts), times) for times in _times_drawn(texts, resamples)]
    return Counter(_choice(lineup, wish, *each) for each in zip(draws, asked, strict=True))


def _times_drawn(texts: int, resamples: int) -> NDArray[np.int64]:
    """(resamples, texts)"""
    if not texts:
        return np.zeros((resamples, 0), np.int64)
    return resampled_weights(texts, resamples).astype(np.int64)


def _choice(lineup: Lineup, wish: Wish, draw: NDArray[np.float64], texts: NDArray[np.int64]) -> str | None:
    parts = draw[:-1].reshape(-1, 3)
    drawn = [
        _asked(_drawn(each, part, float(draw[-1])), texts)
        for each, part in zip(lineup.candidates, parts, strict=True)
    ]
    choice = decide(replace(lineup, candidates=tuple(drawn)), wish).choice
    return choice.name if choice else None


def _asked(candidate: Candidate, texts: NDArray[np.int64]) -> Candidate:
    if len(candidate.bits) != len(texts):
        return candidate
    return replace(candidate, bits=tuple(candidate.bits[place] for place in texts))


def _drawn(candidate: Candidate, normal: NDArray[np.float64], common: float) -> Candidate:
    """`normal` moves loss, time and energy, `common` the memory of all."""
    time_s = _moved(candidate.time_s, float(normal[1]))
    slower = time_s.value / candidate.time_s.value if time_s and candidate.time_s else 1.0
    return replace(
        candidate,
        memory={
            context: round(size + common * max(_MEMORY_ERROR * size, _LEAST_MEMORY_ERROR_BYTES))
            for context, size in candidate.memory.items()
        },
        loss=_moved(candidate.loss, float(normal[0])),
        worst=_moved(candidate.worst, float(normal[0])),
        time_s=time_s,
        joules=_moved(candidate.joules, float(normal[2])),
        decode_tps=candidate.decode_tps / slower if candidate.decode_tps else None,
        ttft_s=candidate.ttft_s * slower if candidate.ttft_s else None,
    )


def _moved(figure: Figure | None, normal: float) -> Figure | None:
    """By a factor, for none of these can become negative."""
    if figure is None or figure.value <= 0:
        return figure
    factor = math.exp(normal * figure.error / figure.value)
    return Figure(figure.value * factor, figure.error * factor, figure.upper * factor)
