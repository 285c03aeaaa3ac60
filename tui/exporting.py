"""The file that a comparison is saved to: its ending is the format."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, get_args

from runner.text import typed_path
from runner.wire.compare import Comparison
from tui.wording import short_model

Format = Literal["html", "svg", "md", "csv", "json"]
QUESTION = "Save to a file: .html report, .svg picture, .md card, .csv table, .json"


def proposed(comparison: Comparison) -> str:
    """A file for the report in the current folder, such as `smollm2-135m-3.html`."""
    name = re.sub(r"[^\w.]+", "-", short_model(comparison.model)).strip(".-_") or "comparison"
    return f"{name}-{comparison.id}.html"


def format_of(file: Path) -> Format | None:
    """None for an ending that is no format's."""
    return next((each for each in get_args(Format) if file.suffix.lower() == f".{each}"), None)


def wrong(words: str) -> str | None:
    file = typed_path(words)
    if format_of(file) is None:
        return "the ending decides: .html, .svg, .md, .csv or .json"
    # pathlib's fail for a name that is too long.
    if not os.path.isdir(file.parent):  # noqa: PTH112
        return "there is no such folder"
    return "there is such a file already" if os.path.exists(file) else None  # noqa: PTH110
