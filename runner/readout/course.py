"""A comparison as far as it has come: what the events that arrived add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase

from runner.wire import compare as wire

_LETTERS = ascii_uppercase + ascii_lowercase


@dataclass(frozen=True, slots=True)
class Course:
    """`ties` are groups of names; `comparison` is None until all is measured."""

    reference: str | None = None
    variants: tuple[wire.VariantResult, ...] = ()
    notes: tuple[str, ...] = ()
    resumed_blocks: int = 0
    progress: wire.CompareProgress | None = None
    ties: tuple[tuple[str, ...], ...] = ()
    settled_s: float | None = None
    comparison: wire.Comparison | None = None

    @classmethod
    def of(cls, comparison: wire.Comparison) -> Course:
        """One that came to its end."""
        return cls().after(wire.ComparisonDone(comparison=comparison))

    def after(self, event: wire.CompareEvent) -> Course:
        if isinstance(event, wire.ComparePlanned):
            return replace(self._showing(event), resumed_blocks=event.resumed_blocks)
        if isinstance(event, wire.CompareProgress):
            return replace(self, progress=event)
        if isinstance(event, wire.VariantMeasured):
            # What is known already keeps its place.
            rows = {row.name: row for row in (*self.variants, event.variant)}
            return replace(self, variants=tuple(rows.values()))
        if isinstance(event, wire.CompareSettled):
            return replace(self, settled_s=event.seconds, ties=_groups(event.ties))
        if isinstance(event, wire.ComparisonDone):
            done = event.comparison
            return replace(self._showing(done), ties=_groups(done.ties), comparison=done)
        return self

    def _showing(self, known: wire.ComparePlanned | wire.Comparison) -> Course:
        variants, notes = tuple(known.variants), tuple(known.notes)
        return replace(self, reference=known.reference, variants=variants, notes=notes)

    @property
    def choice(self) -> str | None:
        recommendation = self.comparison.recommendation if self.comparison else None
        return recommendation.choice if recommendation else None

    @property
    def front(self) -> frozenset[str]:
        return frozenset(self.comparison.pareto if self.comparison else ())

    @property
    def memory_limit_bytes(self) -> int | None:
        return self.comparison.memory_limit_bytes if self.comparison else None

    @property
    def letters(self) -> dict[str, str]:
        """A letter for each variant, by its size: it stays the same while the ranking moves."""
        names = [variant.name for variant in sorted(self.variants, key=_by_size)]
        return {name: _LETTERS[index] if index < len(_LETTERS) else "·" for index, name in enumerate(names)}

    @property
    def ranked(self) -> list[wire.VariantResult]:
        """The reference, then by KL divergence; what has none yet by size."""
        return sorted(self.variants, key=lambda variant: _rank(variant, self.reference))

    def tie_of(self, name: str) -> tuple[str, ...]:
        """The first group of names that cannot be told from `name`; empty if it stands alone."""
        return next((group for group in self.ties if name in group and len(group) > 1), ())


def _groups(ties: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(group) for group in ties)


def _by_size(variant: wire.VariantResult) -> int:
    return -variant.size_bytes


def _rank(variant: wire.VariantResult, reference: str | None) -> tuple[bool, bool, float, int]:
    kld = variant.quality.kld_mean.value if variant.quality else None
    return variant.name != reference, kld is None, kld or 0.0, _by_size(variant)
