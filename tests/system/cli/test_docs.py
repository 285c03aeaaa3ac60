"""The generated pages are what the program says today."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_generated_pages_are_fresh() -> None:
    pages = runpy.run_path(str(DOCS / "cli_reference.py"))["pages"]()
    assert pages.keys() == {"cli.md", "configuration.md"}
    for name, text in pages.items():
        assert (DOCS / name).read_text("utf-8") == text, (
            f"run `python docs/cli_reference.py`: {name} is stale"
        )
