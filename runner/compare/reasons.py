"""A decision in words, two sentences long."""

from __future__ import annotations

from collections.abc import Sequence

from runner.compare.decide import Decision
from runner.compare.lineup import Candidate, Lineup
from runner.compare.wish import Wish
from runner.readout.numbers import bytes_text, rounded

_RULERS = {"kld": "KL divergence", "bits_per_byte": "bits per byte"}


def reason(
    choice: Candidate, decision: Decision, pareto: Sequence[Candidate], lineup: Lineup, wish: Wish
) -> str:
    """What the choice is like, and what its neighbours on the front are like beside it, or what gave way."""
    facts = f"{choice.name}: {', '.join(_facts(choice, lineup, wish))}."
    if decision.notes:
        return f"{' '.join(decision.notes)} {facts}"
    beside = [
        _beside(other, choice, decision, lineup, wish) for other in _neighbours(choice, pareto, wish.context)
    ]
    return f"{facts} {'; '.join(beside) or 'Nothing else is surely better in any respect'}."


def no_choice(decision: Decision) -> str:
    """Why nothing is recommended."""
    if decision.notes:
        return " ".join(decision.notes)
    if not decision.refused:
        return "Nothing was measured."
    return f"None will do: {'; '.join(f'{name} {why}' for name, why in decision.refused.items())}."


def _facts(choice: Candidate, lineup: Lineup, wish: Wish) -> list[str]:
    facts = []
    needed = choice.memory_bytes(wish.context)
    if needed is not None:
        spare = "" if wish.usable_bytes is None else f" ({bytes_text(wish.usable_bytes - needed)} to spare)"
        facts.append(f"{bytes_text(needed)} with a context of {wish.context:,} tokens{spare}")
    if choice.decode_tps is not None:
        facts.append(f"{rounded(choice.decode_tps)} tok/s")
    if choice.loss is not None:
        half = choice.loss.upper - choice.loss.value
        error = f" ± {half:.1g}" if half > 0 else ""
        facts.append(f"{_RULERS[lineup.ruler]} {choice.loss.value:.3g}{error}")
    if choice.right and lineup.ruler == "bits_per_byte":
        facts.append(f"{sum(choice.right)} of {len(choice.right)} tasks right")
    return facts


def _neighbours(choice: Candidate, pareto: Sequence[Candidate], context: int) -> list[Candidate]:
    """The next larger and the next smaller of the front, which is in order of memory."""
    ours = choice.footprint_bytes(context)
    larger = [each for each in pareto if each.footprint_bytes(context) > ours]
    smaller = [each for each in pareto if each.footprint_bytes(context) < ours]
    return [*larger[:1], *smaller[-1:]]


def _beside(other: Candidate, choice: Candidate, decision: Decision, lineup: Lineup, wish: Wish) -> str:
    """One clause: memory, quality and speed of `other`, and what keeps it out if anything does."""
    more = other.footprint_bytes(wish.context) - choice.footprint_bytes(wish.context)
    differences = [f"{bytes_text(abs(more))} {'more' if more > 0 else 'less'}"]
    if choice.loss and other.loss and choice.loss.value > 0:
        times = other.loss.value / choice.loss.value
        differences.append(f"{times:.2g} times the {_RULERS[lineup.ruler]}" if times else "loses nothing")
    if choice.time_s and other.time_s:
        slower = other.time_s.value / choice.time_s.value - 1
        differences.append(f"answers {abs(slower) * 100:.0f} % {'slower' if slower > 0 else 'faster'}")
    out = decision.refused.get(other.name)
    return f"{other.name}: {', '.join(differences)}" + (f", but {out}" if out else "")
