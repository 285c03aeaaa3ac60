"""What a KL divergence means in words. Limits are provisional: docs/compare.md."""

from __future__ import annotations

from dataclasses import dataclass

from runner.wire.compare import Estimate, Tier


@dataclass(frozen=True, slots=True)
class Limits:
    """The most a tier allows: mean KL divergence at the upper end of its interval and its 99th percentile, in
    nats, and the share of hard flips."""

    kld: float
    kld_p99: float
    hard_flips: float


TIERS: dict[Tier, Limits] = {
    "practically the original": Limits(0.006, 0.06, 0.002),
    "excellent": Limits(0.02, 0.2, 0.005),
    "good": Limits(0.05, 0.5, 0.01),
    "noticeable": Limits(0.12, 1.2, 0.025),
    "damaged": Limits(0.3, 3.0, 0.06),
}


def tier(kld: Estimate, kld_p99: Estimate, hard_flips: Estimate) -> Tier | None:
    """The worst that any of the three calls for; None without a mean."""
    mean = upper(kld)
    if mean is None:
        return None
    for name, limits in TIERS.items():
        tail_holds = (kld_p99.value or 0) <= limits.kld_p99 and (hard_flips.value or 0) <= limits.hard_flips
        if mean <= limits.kld and tail_holds:
            return name
    return "broken"


def upper(estimate: Estimate) -> float | None:
    """The end of the interval that promises least; the value where there is no interval."""
    return estimate.value if estimate.high is None else estimate.high
