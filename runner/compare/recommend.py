"""One recommendation: the choice, why, what would change it, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import get_args

from runner.compare.confidence import resampled_choices
from runner.compare.decide import Decision, decide, obstacle
from runner.compare.lineup import Lineup, lineup
from runner.compare.pareto import front
from runner.compare.reasons import no_choice, reason
from runner.compare.tiers import TIERS
from runner.compare.wish import Floors, Wish
from runner.wire.compare import Intent, Recommendation, VariantResult


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
    measured = [each for each in entered.candidates if obstacle(each, entered, _without_limits(wish)) is None]
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


def _without_limits(wish: Wish) -> Wish:
    return replace(wish, usable_bytes=None, floors=Floors())


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
