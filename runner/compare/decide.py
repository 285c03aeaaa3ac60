"""The decision: feasible, above the floors, beaten by none, and then what the intent asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runner.compare.lineup import Candidate, Figure, Lineup
from runner.compare.tiers import TIERS
from runner.compare.wish import Wish
from runner.readout.numbers import bytes_text

GIB = 2**30
_WORTH_PER_GIB = 0.25
"""Of the KL divergence that another GiB must take away."""

_SPEED_COST = 0.10
_NOTHING_TO_GAIN = TIERS["practically the original"].kld

Axis = Callable[[Candidate], Figure | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """`refused` has a reason for each name that is out, `notes` what had to give way, in whole sentences."""

    choice: Candidate | None
    refused: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def decide(lineup: Lineup, wish: Wish) -> Decision:
    refused = {each.name: why for each in lineup.candidates if (why := obstacle(each, lineup, wish))}
    fitting = [each for each in lineup.candidates if each.name not in refused]
    slow = {each.name: why for each in fitting if (why := slowness(each, wish))}
    allowed = [each for each in fitting if each.name not in slow]
    if not allowed:
        return _the_fastest(fitting, lineup, refused, slow)
    best = front(allowed, lineup, wish.context)
    beaten = {
        each.name: f"{winner.name} is at least as good in everything"
        for each in allowed
        if each not in best
        for winner in best
        if beats(winner, each, lineup, wish.context)
    }
    choice, notes = _by_intent(best, lineup, wish)
    return Decision(choice, {**refused, **slow, **beaten}, notes)


def obstacle(candidate: Candidate, lineup: Lineup, wish: Wish) -> str | None:
    """Why it cannot be chosen at all."""
    needed = candidate.memory_bytes(wish.context)
    most = wish.floors.kld if lineup.ruler == "kld" else None
    if candidate.problem:
        return candidate.problem
    if needed is None and any(each.memory for each in lineup.candidates):
        return "how much memory it needs is not known"
    if needed is not None and wish.usable_bytes is not None and needed > wish.usable_bytes:
        return (
            f"needs {bytes_text(needed)} with a context of {wish.context:,} tokens, "
            f"and {bytes_text(wish.usable_bytes)} can be had"
        )
    if candidate.loss is None and any(each.loss for each in lineup.candidates):
        return "its quality was not measured"
    if candidate.time_s is None and any(each.time_s for each in lineup.candidates):
        return "its speed was not measured"
    if most is not None and candidate.worst and candidate.worst.upper > most:
        return f"KL divergence may be {candidate.worst.upper:.3g}, more than {most:g}"
    return None


def slowness(candidate: Candidate, wish: Wish) -> str | None:
    """Which floor of speed it stays below."""
    floors, tps, ttft_s = wish.floors, candidate.decode_tps, candidate.ttft_s
    if candidate.time_s is None:
        return None
    if floors.decode_tps is not None and tps is not None and tps < floors.decode_tps:
        return f"writes {tps:.1f} tok/s, fewer than {floors.decode_tps:g}"
    if floors.ttft_s is not None and ttft_s is not None and ttft_s > floors.ttft_s:
        return f"takes {ttft_s:.0f} s to begin behind a prompt of 2,048 tokens, more than {floors.ttft_s:g}"
    return None


def _the_fastest(
    fitting: Sequence[Candidate], lineup: Lineup, refused: dict[str, str], slow: dict[str, str]
) -> Decision:
    """Where nothing is fast enough, speed is what is missing, whatever the intent."""
    if not fitting:
        return Decision(None, refused)
    choice = least(fitting, lineup, lambda each: each.time_s)
    others = {name: why for name, why in slow.items() if name != choice.name}
    note = (
        f"Nothing here is as fast as it should be, and {choice.name} comes closest: it {slow[choice.name]}."
    )
    return Decision(choice, {**refused, **others}, (note,))


def _by_intent(
    best: Sequence[Candidate], lineup: Lineup, wish: Wish
) -> tuple[Candidate | None, tuple[str, ...]]:
    """From the front, the smallest first."""
    if lineup.ruler == "bits_per_byte" and wish.intent in ("balanced", "best"):
        rulers = "bits per byte and tasks" if any(each.right for each in best) else "bits per byte"
        return _least_loss(best, lineup), (
            f"These models have different vocabularies, so {rulers} decide: KL divergence cannot.",
        )
    if wish.intent in ("balanced", "best"):
        if not best[0].loss:
            return None, ("Quality was not measured.",)
        return _least_loss(best, lineup) if wish.intent == "best" else _climbed(best, lineup, wish), ()
    if wish.intent == "battery" and all(each.joules for each in best):
        return least(best, lineup, lambda each: each.joules), ()
    if not best[0].time_s:
        return None, ("Speed was not measured.",)
    fastest = least(best, lineup, lambda each: each.time_s)
    if wish.intent == "battery":
        return fastest, ("Energy is not measurable here: the shortest time to an answer stands in for it.",)
    return fastest, ()


def least(candidates: Sequence[Candidate], lineup: Lineup, axis: Axis) -> Candidate:
    """The least on `axis`, which all have; of those not surely behind it, the one with the least loss."""
    figures = {each.name: figure for each in candidates if (figure := axis(each))}
    lowest = min(figures.values(), key=lambda figure: figure.value)
    near = [each for each in candidates if not lowest.is_better_than(figures[each.name])]
    return _least_loss(near, lineup) if near[0].loss else near[0]


def _least_loss(candidates: Sequence[Candidate], lineup: Lineup) -> Candidate:
    """The first, which is the smallest, of those than which no other surely loses less."""
    unbeaten = (
        each for each in candidates if not any(lineup.loses_less(other, each) for other in candidates)
    )
    # Bits per byte and tasks may go round in a circle.
    return next(unbeaten, candidates[0])


def _climbed(best: Sequence[Candidate], lineup: Lineup, wish: Wish) -> Candidate:
    """From the smallest up, as long as every GiB buys enough and speed holds."""
    current = best[0]
    for bigger in best[1:]:
        if _is_worth_it(current, bigger, lineup, wish):
            current = bigger
    return current


def _is_worth_it(smaller: Candidate, bigger: Candidate, lineup: Lineup, wish: Wish) -> bool:
    if smaller.loss is None or bigger.loss is None or not lineup.loses_less(bigger, smaller):
        return False
    if smaller.loss.upper <= _NOTHING_TO_GAIN:
        return False
    if smaller.time_s and bigger.time_s and smaller.time_s.value < (1 - _SPEED_COST) * bigger.time_s.value:
        return False
    gib = (bigger.footprint_bytes(wish.context) - smaller.footprint_bytes(wish.context)) / GIB
    return bigger.loss.value <= smaller.loss.value * math.pow(1 - _WORTH_PER_GIB, gib)


def front(candidates: Sequence[Candidate], lineup: Lineup, context: int) -> list[Candidate]:
    """The smallest first. Of candidates that cannot be told apart only the smallest remains."""
    left: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: each.footprint_bytes(context)):
        # Only by who is left: Q5 may be like Q6 and like Q4 although Q6 and Q4 differ.
        if not any(beats(other, candidate, lineup, context) for other in left):
            left = [other for other in left if not beats(candidate, other, lineup, context)]
            left.append(candidate)
    return left


def beats(one: Candidate, other: Candidate, lineup: Lineup, context: int) -> bool:
    """Surely worse in nothing and surely better in something. An axis that one of them lacks does not
    count."""
    better = _comparisons(one, other, lineup, context)
    worse = _comparisons(other, one, lineup, context)
    return any(better) and not any(worse)


def _comparisons(one: Candidate, other: Candidate, lineup: Lineup, context: int) -> tuple[bool, ...]:
    return (
        one.footprint_bytes(context) < other.footprint_bytes(context),
        lineup.loses_less(one, other),
        _is_better(one.time_s, other.time_s),
        _is_better(one.joules, other.joules),
    )


def _is_better(one: Figure | None, other: Figure | None) -> bool:
    return one is not None and other is not None and one.is_better_than(other)
