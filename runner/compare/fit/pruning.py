"""Layers left out, as an experiment: what it saves, and what it costs."""

from __future__ import annotations

from modelstore.conversion import Recipe
from runner.compare.fit.order import Plan
from runner.compare.fit.workshop import Workshop
from runner.compare.quality import kld_mean

_SHARE = 4
"""What losing a layer costs is plain to see in a quarter of the texts."""


def prune(shop: Workshop, plan: Plan) -> tuple[str, list[str]]:
    """Makes the file, loads it and measures it. Returns its name in the work folder, and sentences.

    Raises Unusable if llama.cpp does not load what is left: some models keep figures for each layer.
    """
    order = shop.order
    passages = shop.passages(plan.chunks // _SHARE)
    shop.record(passages.deciding)
    recipe = Recipe(order.label, order.imatrix, prune_layers=order.prune_layers)
    file = shop.make("pruned", recipe)
    shop.say("scoring", "what is left")
    cost = kld_mean(shop.scores("what is left", file, passages.deciding))
    error = f" ± {cost.error:.3f}" if cost.error is not None else ""
    left = 1 - file.stat().st_size / order.source.stat().st_size
    return file.name, [
        f"An experiment: without layers {', '.join(map(str, order.prune_layers))} the file is {left:.1%} "
        f"smaller, and its KL divergence from the source is {cost.value:.3f}{error}."
    ]
