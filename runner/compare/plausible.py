"""Figures that no healthy file has: a broken file, template or load, to be named instead of ranked."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from modelstore.gguf_types import nominal_bits
from runner.wire.compare import VariantResult

IMPLAUSIBLE = "implausible: "

_LADDER = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""Each keeps more than the next, in every model (the anchors in docs/compare.md)."""

_MOST_KLD = {8: 0.06, 6: 0.3, 5: 0.5, 4: 1.0}
"""By bits of the label, in nats: ten times what such files have, and more."""

_CLEARLY = 1.25
_BROKEN = "the file, its template or the way it was loaded is broken"


def implausible(variants: Sequence[VariantResult], ties: Sequence[Sequence[str]] = ()) -> dict[str, str]:
    """Problems by name, each beginning with IMPLAUSIBLE. `ties` as `tie_groups` finds them."""
    found: dict[str, str] = {}
    tied = {frozenset(pair) for group in ties for pair in combinations(group, 2)}
    measured = _plain(variants)
    labels = {variant.name: variant.quantization for variant in variants}
    places = {name: _LADDER.index(label) for name in measured if (label := labels[name]) in _LADDER}
    for finer, coarser in combinations(sorted(places, key=lambda name: places[name]), 2):
        if places[finer] == places[coarser] or frozenset((finer, coarser)) in tied:
            continue
        if measured[finer] > _CLEARLY * measured[coarser]:
            found[finer] = (
                f"{IMPLAUSIBLE}KL divergence {measured[finer]:.4f}, more than {measured[coarser]:.4f} of "
                f"{coarser}, which keeps fewer bits; {_BROKEN}"
            )
    for name, kld in measured.items():
        most = _MOST_KLD.get(nominal_bits(labels[name] or ""))
        if most is not None and kld > most:
            found[name] = f"{IMPLAUSIBLE}KL divergence {kld:.2f} with {labels[name]}; {_BROKEN}"
    return found


def _plain(variants: Sequence[VariantResult]) -> dict[str, float]:
    """KL divergence by name of what runs with the reference's settings: others may do what they like."""
    settings = next((each.settings for each in variants if each.is_reference), {})
    return {
        each.name: each.quality.kld_mean.value
        for each in variants
        if not each.is_reference and each.settings == settings
        if each.quality is not None and each.quality.kld_mean.value is not None
    }
