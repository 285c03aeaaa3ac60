"""Fuzzy matching of names that came from models, hubs and users: never read as markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from textual.content import Content
from textual.fuzzy import FuzzySearch

_Item = TypeVar("_Item")


def match(query: str, text: str) -> tuple[float, Content]:
    """How well `query` matches, 0 for not at all, and `text` with what matched in another colour."""
    score, offsets = FuzzySearch().match(query, text)
    content = Content(text)
    for offset in offsets if score else ():
        content = content.stylize("bold $accent", offset, offset + 1)
    return score, content


def ranked(query: str, items: Iterable[tuple[str, _Item]]) -> list[tuple[Content, _Item]]:
    """The items whose name matches, best first; all of them in their order for an empty query."""
    if not query:
        return [(Content(name), item) for name, item in items]
    scored = [(*match(query, name), item) for name, item in items]
    hits = sorted((hit for hit in scored if hit[0] > 0), key=lambda hit: -hit[0])
    return [(content, item) for _, content, item in hits]
