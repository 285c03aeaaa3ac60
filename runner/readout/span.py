"""Text with a meaning, which each front end paints in its own colours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Role = Literal["plain", "strong", "dim", "head", "choice", "front", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Span:
    """`text` is safe to show: no control characters. Meaning never lies in the colour of `role` alone."""

    text: str
    role: Role = "plain"


Line = tuple[Span, ...]


def plain(line: Iterable[Span]) -> str:
    return "".join(span.text for span in line).rstrip()
