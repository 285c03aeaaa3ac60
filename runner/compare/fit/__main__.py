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

from modelstore.errors import NybbleError
from modelstore.progress import Cancelled
from native import stdio
from runner.compare.fit.mixture import Mixing
from runner.compare.fit.order import PLANS, Order
from runner.compare.fit.pruning import prune
from runner.compare.fit.recipe import recipe, sentences
from runner.compare.fit.workshop import Workshop
from runner.compare.variant import header_of


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
        name, notes = prune(shop, plan)
        (order.work / name).replace(order.destination)
        return {"notes": notes, "recipe": None}
    mixed = Mixing(shop, plan, order.budget_bytes).run()
    answer = {"notes": sentences(order, mixed), "recipe": recipe(order, mixed)}
    mixed.kept.file.replace(order.destination)
    return answer


if __name__ == "__main__":
    main()
