"""Quality by kind of text, and which kinds a candidate is worse at than at the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.compare.clusters import Clusters, Floats, mean, normal_of, share
from runner.wire.compare import DomainQuality, Estimate

WARNING_Z = 3.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One candidate's tokens end to end; `names` has the domain of each cluster."""

    names: Sequence[str]
    clusters: Clusters
    kld: Floats
    same_top: NDArray[np.bool_]
    hard: NDArray[np.bool_]

    def only(self, chosen: NDArray[np.bool_]) -> Measured:
        """The clusters where `chosen`, (clusters,), is true."""
        tokens = np.repeat(chosen, self.clusters.sizes)
        return Measured(
            [name for name, is_chosen in zip(self.names, chosen, strict=True) if is_chosen],
            Clusters(self.clusters.sizes[chosen]),
            self.kld[tokens],
            self.same_top[tokens],
            self.hard[tokens],
        )


def domains(measured: Measured) -> dict[str, DomainQuality]:
    """By name, in the order in which they first appear."""
    names = np.array(measured.names)
    return {
        name: _domain(measured.only(names == name), measured.only(names != name))
        for name in dict.fromkeys(measured.names)
    }


def _domain(inside: Measured, outside: Measured) -> DomainQuality:
    kld = mean(inside.kld, inside.clusters, least=0.0)
    z = difference_z(kld, inside.clusters.count, mean(outside.kld, outside.clusters), outside.clusters.count)
    return DomainQuality(
        tokens=inside.clusters.tokens,
        clusters=inside.clusters.count,
        kld_mean=kld,
        same_top=share(inside.same_top, inside.clusters),
        hard_flips=share(inside.hard, inside.clusters),
        z=z,
        is_worse=z is not None and z >= WARNING_Z,
    )


def difference_z(one: Estimate, one_clusters: int, other: Estimate, other_clusters: int) -> float | None:
    """How many normal deviations `one` lies above `other`, both from clusters of their own: Welch's t, with
    the degrees of freedom that few clusters leave. None without two errors."""
    if one.value is None or other.value is None or not one.error or not other.error:
        return None
    variance, other_variance = one.error**2, other.error**2
    both = variance + other_variance
    freedom = both**2 / (variance**2 / (one_clusters - 1) + other_variance**2 / (other_clusters - 1))
    return normal_of((one.value - other.value) / math.sqrt(both), freedom)
