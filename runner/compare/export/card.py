"""A Markdown card: the verdict, the table, and what the figures depend on."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from runner.compare.export.columns import main_columns
from runner.compare.export.tables import facts
from runner.compare.export.words import context, with_error
from runner.readout.course import Course
from runner.readout.span import plain
from runner.readout.table import CHOICE_MARK
from runner.readout.verdict import notes, recommendation
from runner.wire.compare import Comparison

_SPECIAL = re.compile(r"([\\`*_{}\[\]#+!|~@]|:(?=//)|^-)")
"""What Markdown gives a meaning, some of it where a line begins, and what some programs make links of."""


def card(comparison: Comparison) -> str:
    course = Course.of(comparison)
    shown = main_columns(comparison)
    heads = ["variant", *(column.title for column in shown), "verdict"]
    rows = [
        [
            f"{CHOICE_MARK} {each.name}" if each.name == course.choice else each.name,
            *(with_error(column.shown(each), column.scale) for column in shown),
            "reference" if each.name == course.reference else (each.quality and each.quality.tier) or "",
        ]
        for each in course.ranked
    ]
    found = recommendation(comparison.recommendation) if comparison.recommendation else []
    parts = (
        f"# {_escaped(comparison.model)}, {context(comparison.context)} context",
        *(_escaped(plain(line)) for line in found),
        _table(heads, rows),
        _list(plain(line) for line in notes(course)),
        "## Provenance",
        _list(f"{name}: {value}" for name, value in facts(comparison)),
        _list(f"{each.name}: {each.digest}" for each in course.ranked),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 2), "---"]]
    body = [[_escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*lines, *body])


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    """One line that shows as it is, whatever it contains."""
    return _SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
