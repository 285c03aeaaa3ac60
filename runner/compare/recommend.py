"""One recommendation: the choice, why, what would change it, and how sure it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from runner.compare.clusters import resampled_weights
from runner.compare.decide import Decision, decide, front, obstacle
from runner.compare.lineup import Candidate, Figure, Lineup, lineup
from runner.compare.reasons import no_choice, reason
from runner.compare.tiers import TIERS
from runner.compare.wish import Floors, Wish
from runner.wire.compare import Intent, Recommendation, VariantResult

_SEED = 20_240_229
_MEMORY_ERROR = 0.025
_LEAST_MEMORY_ERROR_BYTES = 32 * 2**20
"""One standard error of a prediction; it is off by the same for all variants, whose buffers are alike."""


def recommend(
    variants: Sequence[VariantResult],
    ties: Sequence[Sequence[str]],
    wish: Wish,
    noise_floor: float = 0.0,
    resamples: int = 200,
) -> tuple[Recommendation, list[str]]:
    """The recommendation, and the names that no other beats, the smallest first.

    `ties` as `tie_groups` finds them; `wish.context` is the one that the variants' memory was predicted for.
    Pure: the same figures give the same answer."""
    entered = lineup(variants, ties, wish, noise_floor)
    unlimited = replace(wish, usable_bytes=None, floors=Floors())
    measured = [each for each in entered.candidates if obstacle(each, entered, unlimited) is None]
    pareto = front(measured, entered, wish.context)
    decision = decide(entered, wish)
    chosen = decision.choice
    confidence, runner_up = _certainty(decision, entered, wish, resamples)
    return Recommendation(
        intent=wish.intent,
        choice=chosen.name if chosen else None,
        reason=reason(chosen, decision, pareto, entered, wish) if chosen else no_choice(decision),
        would_change=what_would_change(decision, entered, wish),
        refused=decision.refused,
        confidence=confidence,
        runner_up=runner_up,
    ), [each.name for each in pareto]


def _certainty(
    decision: Decision, entered: Lineup, wish: Wish, resamples: int
) -> tuple[float | None, str | None]:
    """Confidence, and the runner-up: what wins most of the other resamplings, or else would be chosen
    instead."""
    if decision.choice is None:
        return None, None
    name = decision.choice.name
    counts = resampled_choices(entered, wish, resamples)
    others = [(count, other) for other, count in counts.items() if other is not None and other != name]
    return counts[name] / resamples, max(others)[1] if others else _instead(name, entered, wish)


def _instead(name: str, entered: Lineup, wish: Wish) -> str | None:
    left = replace(entered, candidates=tuple(each for each in entered.candidates if each.name != name))
    choice = decide(left, wish).choice
    return choice.name if choice else None


def what_would_change(decision: Decision, entered: Lineup, wish: Wish) -> str:
    """By deciding again under other contexts, intents and floors: of each kind the first that changes the
    choice."""
    name = decision.choice.name if decision.choice else None
    found = []
    for kind in _alternatives(entered, wish):
        for words, other in kind:
            choice = decide(entered, other).choice
            # What another intent asks for may not have been measured: that is no answer to it.
            is_unknown = choice is None and other.intent != wish.intent
            if not is_unknown and (choice.name if choice else None) != name:
                found.append(f"{choice.name if choice else 'nothing'} {words}")
                break
    if not found:
        return "No other intent, context or floor that was tried changes the choice."
    return f"Instead it would be {'; '.join(found)}."


def _alternatives(entered: Lineup, wish: Wish) -> Iterator[list[tuple[str, Wish]]]:
    lengths = sorted({length for each in entered.candidates for length in each.memory})
    yield [
        (f"with a context of {length:,} tokens", replace(wish, context=length))
        for length in lengths
        if length > wish.context
    ]
    has_energy = any(each.joules for each in entered.candidates)
    for intent in get_args(Intent):
        if intent != wish.intent and (has_energy or intent != "battery"):
            yield [(f"for {intent}", replace(wish, intent=intent))]
    faster = 2 * (wish.floors.decode_tps or 0)
    if faster and any((each.decode_tps or 0) >= faster for each in entered.candidates):
        yield [(f"with at least {faster:g} tok/s", _with_floors(wish, decode_tps=faster))]
    stricter = [each.kld for each in TIERS.values() if wish.floors.kld is None or each.kld < wish.floors.kld]
    yield [
        (f"with a KL divergence of at most {kld:g}", _with_floors(wish, kld=kld))
        for kld in sorted(stricter, reverse=True)
    ]


def _with_floors(wish: Wish, **floors: float) -> Wish:
    return replace(wish, floors=replace(wish.floors, **floors))


def resampled_choices(lineup: Lineup, wish: Wish, resamples: int) -> Counter[str | None]:
    """How often each name, or nothing, is chosen. The same at every call."""
    generator = np.random.default_rng(_SEED)
    draws = generator.standard_normal((resamples, 3 * len(lineup.candidates) + 1))
    texts = max((len(each.bits) for each in lineup.candidates), default=0)
    times = resampled_weights(texts, resamples) if texts else np.zeros((resamples, 0))
    # All models are asked for the same ones.
    asked = [np.repeat(np.arange(texts), row) for row in times.astype(np.int64)]
    return Counter(_choice(lineup, wish, *each) for each in zip(draws, asked, strict=True))


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
