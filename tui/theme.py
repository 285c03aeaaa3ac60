"""The colours of the app, and which of Textual's themes the user chose instead."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from textual.theme import Theme

THEME = Theme(
    name="nybble",
    primary="#7fa8d1",
    secondary="#8b93a7",
    accent="#e0b074",
    success="#8fbf8a",
    warning="#d9b36c",
    error="#e07f7a",
    foreground="#d5d9e0",
    background="#12151a",
    surface="#181c23",
    panel="#222833",
)


def chosen(file: Path | None, known: Container[str]) -> str:
    """The theme that `keep` wrote; ours if there is none, or none of that name any more."""
    name = ""
    with suppress(OSError, UnicodeDecodeError):
        name = file.read_text("utf-8").strip() if file else ""
    return name if name in known else THEME.name


def keep(file: Path, theme: Theme) -> None:
    """For the next start. Where nothing can be written the choice lasts until the app ends, no longer."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(theme.name, "utf-8")
