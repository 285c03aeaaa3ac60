"""Tasks in a report: how many answers are right, and how many the reference had right instead."""

from __future__ import annotations

from markupsafe import Markup

from runner.compare.export.markup import element, table
from runner.compare.export.words import note
from runner.wire.compare import Comparison, TaskScore


def task_table(comparison: Comparison) -> Markup | None:
    """A row for each variant; None if no tasks were set."""
    shown = [each for each in comparison.variants if each.tasks]
    parts = list(dict.fromkeys(part for each in shown for part in each.tasks))
    rows = [
        [element("th", each.name, scope="row"), *(_cell(each.tasks.get(part)) for part in parts)]
        for each in shown
    ]
    return table(["right", *parts], rows) if rows else None


def _cell(score: TaskScore | None) -> Markup:
    if score is None:
        return element("td", "–")
    flips = f" −{score.lost} +{score.gained}, p = {score.p_value:.2g}"
    small = element("small", flips) if score.lost or score.gained else None
    right = f"{sum(score.outcomes)} of {len(score.outcomes)}"
    return element("td", right, small, title=note(score.right, 100.0))
