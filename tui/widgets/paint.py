"""The spans of a readout in the colours of the theme."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from runner.readout.span import Line, Role

_STYLES: dict[Role, str] = {
    "plain": "",
    "strong": "bold",
    "dim": "$foreground 70%",
    "head": "bold $text-primary",
    "choice": "bold $text-success",
    "front": "$text-accent",
    "warning": "$text-warning",
    "error": "bold $text-error",
}


def dim(text: str) -> Content:
    return Content(text).stylize(_STYLES["dim"])


def painted(lines: Iterable[Line]) -> Content:
    spans = ([(span.text, _STYLES[span.role]) for span in line] for line in lines)
    return Content("\n").join(Content.assemble(*line) for line in spans)
