"""Several comparisons in one table: only where all that their figures depend on is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelstore.errors import Conflict
from runner.wire.compare import Comparison, VariantResult

_OF_TEXT = ("kind", "stream", "template")
"""Of `Comparison.text`: what decides which tokens were scored."""


def joined(comparisons: Sequence[Comparison]) -> Comparison:
    """One with the variants of all: of the same variant the newest, of another computer's variants only the
    quality. What follows from the set of variants (front, ties, recommendation) is left empty: it was decided
    for other sets. Raises Conflict naming what differs."""
    first, *others = sorted(comparisons, key=lambda each: each.created_at, reverse=True)
    if not others:
        return first
    variants = {_identity(each): each for each in first.variants}
    for other in others:
        if different := list(differences(first, other)):
            hint = "measure them again under the same conditions"
            raise Conflict(f"these comparisons do not belong in one table: {'; '.join(different)}", hint=hint)
        is_elsewhere = other.hardware != first.hardware
        own = {_identity(each): _quality_only(each) if is_elsewhere else each for each in other.variants}
        variants = own | variants
    undecided: dict[str, Any] = {"id": None, "pareto": [], "ties": [], "recommendation": None}
    return first.model_copy(update={**undecided, "variants": _named(list(variants.values()))})


def differences(one: Comparison, other: Comparison) -> Iterator[str]:
    """What differs, with both values; nothing if their figures may stand in one table."""
    facts, other_facts = _facts(one), _facts(other)
    for name in dict.fromkeys([*facts, *other_facts]):
        if facts.get(name) != other_facts.get(name):
            yield f"{name} ({facts.get(name)}, {other_facts.get(name)})"


def _facts(comparison: Comparison) -> Mapping[str, str | None]:
    reference = next((each for each in comparison.variants if each.name == comparison.reference), None)
    return {
        "reference": reference.digest if reference else comparison.reference,
        "reference settings": str(sorted(reference.settings.items())) if reference else None,
        "context": str(comparison.context),
        **{f"text {key}": comparison.text.get(key) for key in _OF_TEXT},
        **{f"engine {key}": value for key, value in comparison.engine.items()},
        "hardware gpu": comparison.hardware.get("gpu"),
    }


def _identity(variant: VariantResult) -> tuple[str, tuple[tuple[str, str], ...]]:
    return variant.digest, tuple(sorted(variant.settings.items()))


def _quality_only(variant: VariantResult) -> VariantResult:
    gone = dict.fromkeys(("load_s", "speed", "energy"))
    remark = "measured on another computer: only its quality is shown"
    return variant.model_copy(update={**gone, "problems": [*variant.problems, remark]})


def _named(variants: list[VariantResult]) -> list[VariantResult]:
    """With names that are unique, as everything that shows a comparison expects."""
    taken = Counter(each.name for each in variants)
    return [
        each if taken[each.name] == 1 else each.model_copy(update={"name": f"{each.name} {_mark(each)}"})
        for each in variants
    ]


def _mark(variant: VariantResult) -> str:
    """What tells files of one name apart, and after that settings of one file."""
    return " ".join([variant.digest.removeprefix("sha256:")[:12], *variant.settings.values()])
