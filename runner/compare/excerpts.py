"""Text that no model wrote, cut so that models of different vocabularies are asked for the same bytes.

Windows of so many tokens begin and end elsewhere in every vocabulary, and some texts are harder than others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from runner.compare.block import Block
from runner.compare.blocks import Tokenizer

# Characters.
_BEFORE, _SCORED = 150, 600
_LONGEST_WORD = 40
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`before` is only read, `text` is scored."""

    before: str
    text: str


def excerpts(text: str) -> Iterator[Excerpt]:
    """One behind the other, cut where a space begins if there is one near; the rest is left out."""
    at = 0
    while len(text) - at >= _BEFORE + _SCORED:
        border, end = _border(text, at + _BEFORE), _border(text, at + _BEFORE + _SCORED)
        yield Excerpt(text[at:border], text[border:end])
        at = end


def excerpt_block(tokenizer: Tokenizer, bos: int | None, index: int, domain: str, excerpt: Excerpt) -> Block:
    """`bos` as `beginning` finds it. A token across the border, of which there are few, counts as if it ended
    there."""
    tokens, before = (
        tokenizer.tokenize(text, add_special=False, parse_special=False)
        for text in (excerpt.before + excerpt.text, excerpt.before)
    )
    start = () if bos is None else (bos,)
    scored_bytes = len(excerpt.text.encode())
    return Block(index, domain, (*start, *tokens), len(start) + len(before), scored_bytes)


def _border(text: str, at: int) -> int:
    found = _SPACE.search(text, at, at + _LONGEST_WORD)
    return found.start() if found else min(at, len(text))
