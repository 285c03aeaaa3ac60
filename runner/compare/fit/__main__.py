"""Child entry, `python -I -m runner.compare.fit`: makes a mixture for a size, or leaves layers out.

One JSON line on stdin, the fields of `Order`. Then JSON lines on stdout:

    {"type": "progress", "phase": "probing", "detail": "attention values 2/3", "completed": 5, "total": 16}
    {"type": "done", "notes": ["…"], "recipe": {…} or null}
    {"type": "error", "error": {"message": "…", "hint": null, "code": "…", "status": 422}}

End of file on stdin means that nobody waits any more: it ends as soon as the children that it waits for have.
"""

from __future__ import annotations

import sys
from typing import Any

from pydantic import TypeAdapter

from modelstore.conversion import Recipe
from modelstore.errors import NybbleError
from modelstore.progress import Cancelled
from native import stdio
from runner.compare.fit.mixture import Mixing
from runner.compare.fit.order import PLANS, Order, Plan
from runner.compare.fit.recipe import recipe, sentences
from runner.compare.fit.workshop import Workshop
from runner.compare.quality import kld_mean
from runner.compare.variant import header_of

_SHARE = 4
"""What losing a layer costs is plain to see in a quarter of the texts."""


def main() -> None:
    answer, requests = stdio.answers(), stdio.take_stdin()
    order = TypeAdapter(Order).validate_json(requests.readline())
    cancelled = stdio.end_of(requests)
    try:
        answer({"type": "done", **_made(Workshop(order, header_of(order.source), answer, cancelled))})
    except NybbleError as error:
        body = {"message": error.message, "hint": error.hint, "code": error.code, "status": error.status}
        answer({"type": "error", "error": body})
    except Cancelled:
        sys.exit(1)


def _made(shop: Workshop) -> dict[str, Any]:
    order, plan = shop.order, PLANS[shop.order.effort]
    if order.budget_bytes is None:
        return {"notes": [_pruned(shop, plan)], "recipe": None}
    mixed = Mixing(shop, plan, order.budget_bytes).run()
    answer = {"notes": sentences(order, mixed), "recipe": recipe(order, mixed)}
    mixed.kept.file.replace(order.destination)
    return answer


def _pruned(shop: Workshop, plan: Plan) -> str:
    """Layers left out, as an experiment: makes the file, loads it, and says what it saves and costs.

    Raises Unusable if llama.cpp does not load what is left: some models keep figures for each layer.
    """
    order = shop.order
    passages = shop.passages(plan.chunks // _SHARE)
    shop.record(passages.deciding)
    file = shop.make("pruned", Recipe(order.label, order.imatrix, prune_layers=order.prune_layers))
    shop.say("scoring", "what is left")
    cost = kld_mean(shop.scores("what is left", file, passages.deciding))
    error = f" ± {cost.error:.3f}" if cost.error is not None else ""
    left = 1 - file.stat().st_size / order.source.stat().st_size
    file.replace(order.destination)
    return (
        f"An experiment: without layers {', '.join(map(str, order.prune_layers))} the file is {left:.1%} "
        f"smaller, and its KL divergence from the source is {cost.value:.3f}{error}."
    )


if __name__ == "__main__":
    main()
