"""A comparison for other programs and for people: JSON, CSV, a Markdown card, a picture, a report.

Everything is rendered from the stored result: no model is needed. All text in a result counts as hostile:
`cleaned` takes control characters out of it here, and every format escapes what is left by its own rules.
"""

from __future__ import annotations

import json
from typing import Any, Literal, get_args

from modelstore.errors import UserError
from runner.text import clean
from runner.wire.compare import Comparison

Format = Literal["html", "svg", "md", "csv", "json"]
FORMATS: tuple[Format, ...] = get_args(Format)


def render(comparison: Comparison, format_name: Format) -> str:
    """`comparison` in one of FORMATS. Raises UserError if what draws pictures is not installed."""
    safe = cleaned(comparison)
    if format_name == "json":
        # ASCII: a terminal that shows the file is safe from what is in it.
        return json.dumps(safe.model_dump(mode="json"), indent=2) + "\n"
    if format_name == "csv":
        from runner.compare.export.spreadsheet import spreadsheet

        return spreadsheet(safe)
    if format_name == "md":
        from runner.compare.export.card import card

        return card(safe)
    try:
        from runner.compare.export.page import page, picture
    except ModuleNotFoundError as error:
        hint = "pip install 'nybble[report]'; JSON, CSV and Markdown need no extra"
        raise UserError("pictures need matplotlib, which is not installed", hint=hint) from error
    return page(safe) if format_name == "html" else picture(safe)


def cleaned(comparison: Comparison) -> Comparison:
    """`comparison` without control characters and escape sequences in any text."""
    return Comparison.model_validate(_cleaned(comparison.model_dump()))


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    return value
