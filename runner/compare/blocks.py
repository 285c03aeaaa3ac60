"""What is scored: where a text is cut, which tokens of it count, and what two models said of them: pure.

Windows are cut in two ways that must never meet in one table: llama-perplexity's (half of what is decoded is
scored), and the efficient one (94 %). They begin and end elsewhere in every vocabulary, and some texts are
harder than others: so models of different vocabularies are asked for excerpts, which are the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from modelstore.errors import Unusable, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEMPERATURES = (1.01, 1.02, 1.05, 1.1, 1.2, 1.5)
"""Of the reference, for the temperature equivalent (KL divergence of the reference from itself at each)."""

# Characters of an excerpt.
_BEFORE, _SCORED = 150, 600
_LONGEST_WORD = 40
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens decoded together from an empty cache: one cluster of the statistics.

    Scored are the predictions of `tokens[first_scored:]`, each made from all tokens before it.
    `scored_bytes` is the length in UTF-8 of the text that the scored tokens spell, for bits per byte.
    """

    index: int
    domain: str
    tokens: tuple[int, ...]
    first_scored: int
    scored_bytes: int

    @property
    def scored_tokens(self) -> int:
        return len(self.tokens) - self.first_scored


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """Of the reference alone, natural logarithms, one value for each scored token.

    `nll` is -ln p of the token that follows, `margin` ln p of the first choice less that of the second,
    `entropy` in nats. `kld_at` holds, for each of TEMPERATURES, the sum over the tokens of KL(p ‖ p at that
    temperature).
    """

    nll: NDArray[np.float64]
    margin: NDArray[np.float32]
    entropy: NDArray[np.float32]
    kld_at: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CandidateScores:
    """Of one candidate beside the reference, for each scored token: `nll` is -ln q of the token that follows,
    `kld` KL(p ‖ q), `same_top` whether both have the same first choice. Beside a record `lumped` is what is
    exact of `kld`, a lower bound."""

    nll: NDArray[np.float64]
    kld: NDArray[np.float64]
    same_top: NDArray[np.bool_]
    lumped: NDArray[np.float64] | None = None


class Tokenizer(Protocol):
    """The part of a `Scorer` that makes tokens of text and text of tokens."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]: ...

    def pieces(self, tokens: Sequence[int]) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class Window:
    """Runs of `length` tokens; scored are the predictions made at positions `context` to `length` - 2."""

    length: int
    context: int
    is_compatible: bool = False

    def blocks(self, chunks: int) -> int:
        """How many take the work of `chunks` times 512 tokens, llama-perplexity's usual chunk."""
        return chunks if self.is_compatible else max(1, chunks * 512 // self.length)


EFFICIENT = Window(1024, 64)


def compatible(length: int = 512) -> Window:
    """llama-perplexity's window for `-c length`."""
    return Window(length, length // 2, is_compatible=True)


def cut(tokens: Sequence[int], window: Window, bos: int | None) -> Iterator[tuple[int, ...]]:
    """Runs that do not overlap. `bos` is the token that texts of this vocabulary begin with, None for none.

    In the compatible window it replaces the first token of each run, and what does not fill the last run is
    left out: so does llama-perplexity. In the other it stands before the text's own tokens, and the rest is
    kept if at least as much of it is scored as goes before.
    """
    start = () if bos is None else (bos,)
    step = window.length if window.is_compatible else window.length - len(start)
    skipped = len(start) if window.is_compatible else 0
    for at in range(0, len(tokens), step):
        run = (*start, *tokens[at + skipped : at + step])
        is_enough = not window.is_compatible and len(run) > 2 * window.context
        if len(run) == window.length or is_enough:
            yield run


def text_blocks(
    tokenizer: Tokenizer, text: str, window: Window, chunks: int | None, domain: str = "own text"
) -> list[Block]:
    """The first blocks of `text`, as much as `chunks` says or all of it. Raises UserError for too little."""
    if window.is_compatible:
        text = text.removesuffix("\n")  # llama-perplexity drops it from files
    tokens = tokenizer.tokenize(text, add_special=window.is_compatible, parse_special=False)
    least = 2 * window.length if window.is_compatible else 2 * window.context + 1
    if len(tokens) < least:
        raise UserError(
            f"the text has only {len(tokens):,} tokens, and scoring it takes {least:,}",
            hint="use a longer one",
        )
    runs = islice(cut(tokens, window, beginning(tokenizer)), chunks and window.blocks(chunks))
    return [block(tokenizer, i, domain, run, window.context + 1) for i, run in enumerate(runs)]


def beginning(tokenizer: Tokenizer) -> int | None:
    """The token that this vocabulary adds before a text. Raises Unusable for one that adds an end as well:
    llama-perplexity refuses such models too."""
    added = tokenizer.tokenize("", add_special=True, parse_special=False)
    if not added:
        return None
    sample = tokenizer.tokenize("a", add_special=True, parse_special=False)
    if len(added) > 1 or sample[0] != added[0]:
        raise Unusable("this model ends every text with a token of its own: it does not continue texts")
    return added[0]


def block(tokenizer: Tokenizer, index: int, domain: str, tokens: Sequence[int], first_scored: int) -> Block:
    scored = tokenizer.pieces(tokens[first_scored:])
    return Block(index, domain, tuple(tokens), first_scored, sum(map(len, scored)))


def stream_digest(blocks: Iterable[Block]) -> str:
    """sha256 (hex) over the tokens of all blocks and where scoring begins: figures of two streams do not
    belong in one table."""
    digest = hashlib.sha256()
    for item in blocks:
        numbers = (item.first_scored, len(item.tokens), *item.tokens)
        digest.update(struct.pack(f"<{len(numbers)}i", *numbers))
    return digest.hexdigest()


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
