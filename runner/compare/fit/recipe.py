"""What a mixture was made of and how it did: as JSON to keep, and as sentences."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runner.compare.fit.mixture import Mixed, Tried
from runner.compare.fit.order import Order

_FORMAT = 1


def recipe(order: Order, mixed: Mixed) -> dict[str, Any]:
    """Enough to make the file again from the same source with an importance matrix of one's own."""
    return {
        "format": _FORMAT,
        "source": order.digest,
        "budget_bytes": order.budget_bytes,
        "effort": order.effort,
        "kept": mixed.kept.name,
        "label": mixed.kept.recipe.label,
        "size_bytes": mixed.kept.file.stat().st_size,
        "expected_kld": mixed.expected_kld,
        "sensitivities": mixed.sensitivities,
        "mixture": mixed.kinds,
        "z": dict(mixed.verdict.z),
        "measured": {each.name: _measured(each) for each in mixed.tried},
        "decode_tps": mixed.decode_tps,
    }


def _measured(tried: Tried) -> dict[str, Any]:
    figures = {kind: figure.model_dump(mode="json") for kind, figure in tried.figures.items()}
    return {"size_bytes": tried.file.stat().st_size, "kld_mean": figures}


def sentences(order: Order, mixed: Mixed) -> list[str]:
    """For people: a line for each file that was tried, and the decision with its reason."""
    lines = [_line(each) for each in mixed.tried]
    z = ", ".join(f"z = {value:.1f} on {kind}" for kind, value in mixed.verdict.z.items())
    gain, kept = f"{abs(mixed.verdict.gain):.0%}", f"{mixed.kept.name} is kept"
    if mixed.verdict.keeps_mixture:
        counted = Counter(mixed.kinds.values())
        types = ", ".join(f"{count} × {kind}" for kind, count in counted.most_common())
        lines.append(f"The mixture is kept: {gain} less KL divergence than stock ({z}). It has {types}.")
    else:
        if mixed.kept is mixed.tried[0]:
            kept += ", since only it is fast enough"
        reason = (
            f"Stock is as good: the mixture has {gain} less KL divergence, but {z}."
            if mixed.verdict.gain > 0
            else f"Stock is better: the mixture has {gain} more KL divergence ({z})."
        )
        lines.append(f"{reason} {kept[0].upper()}{kept[1:]}.")
    if mixed.decode_tps is not None:
        is_reached = order.min_tps is not None and mixed.decode_tps >= order.min_tps
        how = "" if is_reached else f", which is less than the {order.min_tps:g} that were asked for"
        lines.append(f"It decodes {mixed.decode_tps:.1f} tok/s here{how}.")
    return lines


def _line(tried: Tried) -> str:
    figures = []
    for kind, value in tried.figures.items():
        error = f" ± {value.error:.5f}" if value.error is not None else ""
        figures.append(f"{value.value:.5f}{error} on {kind}")
    size_bytes = tried.file.stat().st_size
    return f"{tried.name} ({size_bytes / 1e6:,.1f} MB): KL divergence {', '.join(figures)}"
