"""One picture that stands alone: quality against memory, with the verdict above it."""

from __future__ import annotations

from importlib import resources

from modelstore.errors import UserError
from runner.wire.compare import Comparison


def palette() -> str:
    return resources.files("runner.compare.export").joinpath("palette.css").read_text("utf-8")


def picture(comparison: Comparison) -> str:
    """Raises UserError where there is nothing to draw."""
    from runner.compare.export.plots.tradeoff import tradeoff

    drawn = tradeoff(comparison, css=palette() + "svg { background: var(--paper) }")
    if drawn is None:
        raise UserError(
            "there is no picture of this comparison: quality or memory was not measured",
            hint="export it as HTML, Markdown, CSV or JSON",
        )
    return '<?xml version="1.0" encoding="utf-8"?>\n' + str(drawn) + "\n"
