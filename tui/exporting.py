"""The file that a comparison is saved to: its ending is the format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args

from runner.wire.compare import Comparison
from tui.wording import short_model

Format = Literal["html", "svg", "md", "csv", "json"]
QUESTION = "Save to a file: .html report, .svg picture, .md card, .csv table, .json"


def proposed(comparison: Comparison) -> str:
    """A file for the report in the current folder, such as `smollm2-135m-3.html`."""
    name = re.sub(r"[^\w.]+", "-", short_model(comparison.model)).strip(".-_") or "comparison"
    return f"{name}-{comparison.id}.html"


def file_of(words: str) -> tuple[Path, Format]:
    """Raises ValueError with what is wrong."""
    file = Path(words).absolute()
    for each in get_args(Format):
        if file.suffix.lower() == f".{each}":
            return file, each
    raise ValueError("the ending decides: .html, .svg, .md, .csv or .json")


def wrong(words: str) -> str | None:
    try:
        file, _ = file_of(words)
    except ValueError as error:
        return str(error)
    if not file.parent.is_dir():
        return "there is no such folder"
    return "there is such a file already" if file.exists() else None
