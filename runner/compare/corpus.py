"""The texts that come with nybble: what they are, and reading them unaltered (`texts/texts.toml`)."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Literal, TypeVar

from modelstore.errors import Unusable
from runner.compare import blocks

FOLDER = Path(__file__).parent / "texts"
_PROMPT_BORDER = "\n%%\n"
# Most people use one or two languages: all languages together must not outweigh what else they do.
_LANGUAGES_A_TURN = 2
_PIECE_CHARACTERS = 1500
DATASET = "texts that come with nybble"
"""What an importance matrix of `calibration_text` is of."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Text:
    """One file: `path` within the folder, `license` as SPDX has it, `language` the code of ISO 639-1 where
    the domain is a language."""

    path: str
    use: Literal["corpus", "prompts"]
    domain: str
    license: str
    source: str
    sha256: str
    language: str | None = None


def texts(folder: Path = FOLDER) -> tuple[Text, ...]:
    listed = tomllib.loads((folder / "texts.toml").read_text(encoding="utf-8"))
    return tuple(Text(**fields) for fields in listed["text"])


def read(text: Text, folder: Path = FOLDER) -> str:
    """Raises Unusable, naming the file, if it is not what it was: figures of other texts do not compare."""
    try:
        data = (folder / text.path).read_bytes()
    except OSError as error:
        raise Unusable(
            f"the text {text.path} cannot be read: {error}", hint="install nybble again"
        ) from error
    if hashlib.sha256(data).hexdigest() != text.sha256:
        raise Unusable(
            f"the text {text.path} was altered", hint="install nybble again, or compare with --text"
        )
    return data.decode("utf-8")


def languages(folder: Path = FOLDER) -> frozenset[str]:
    """The domains that are languages other than English."""
    return frozenset(text.domain for text in texts(folder) if text.language)


def prompts(folder: Path = FOLDER) -> list[tuple[str, str]]:
    """Domain and text of every prompt, in the order in which they are to be asked."""
    asked = {text.domain: read(text, folder) for text in texts(folder) if text.use == "prompts"}
    split = {domain: whole.rstrip("\n").split(_PROMPT_BORDER) for domain, whole in asked.items()}
    return list(in_turn(split, languages(folder)))


def prose() -> str:
    """All of the corpus that is in English sentences, as one text."""
    corpus = (text for text in texts() if text.use == "corpus" and text.domain == "prose")
    return "".join(read(text) for text in corpus)


def pieces(cut: Callable[[str], Iterable[T]]) -> Iterator[tuple[str, T]]:
    """What `cut` makes of each text of the corpus, domains in turn."""
    found: dict[str, list[T]] = {}
    for text in texts():
        if text.use == "corpus":
            found.setdefault(text.domain, []).extend(cut(read(text)))
    return in_turn(found, languages())


def fixed_blocks(tokenizer: blocks.Tokenizer, window: blocks.Window, chunks: int) -> list[blocks.Block]:
    """Blocks of text that no model wrote, domains in turn; as much work as `chunks` times 512 tokens. The
    compatible window takes prose only, which llama-perplexity can be given as it lies there."""
    if window.is_compatible:
        return blocks.text_blocks(tokenizer, prose(), window, chunks, "prose")
    found = pieces(lambda text: blocks.text_blocks(tokenizer, text, window, None))
    chosen = enumerate(islice(found, window.blocks(chunks)))
    return [replace(block, index=index, domain=domain) for index, (domain, block) in chosen]


def excerpt_blocks(tokenizer: blocks.Tokenizer, count: int, own: str | None = None) -> list[blocks.Block]:
    """So many excerpts, domains in turn, or of the user's `own` text: the same in every vocabulary."""
    found = pieces(blocks.excerpts) if own is None else (("own text", each) for each in blocks.excerpts(own))
    bos, chosen = blocks.beginning(tokenizer), enumerate(islice(found, count))
    return [blocks.excerpt_block(tokenizer, bos, index, *each) for index, each in chosen]


def calibration_text() -> str:
    """Pieces of the bundled corpus, for an importance matrix where nobody gives a text: its beginning is as
    mixed as the whole. Raises Unusable if a file was altered."""

    def cut(text: str) -> Iterator[str]:
        return (text[at : at + _PIECE_CHARACTERS] for at in range(0, len(text), _PIECE_CHARACTERS))

    return "\n\n".join(piece for _, piece in pieces(cut))


def in_turn(items: Mapping[str, Sequence[T]], languages: Collection[str]) -> Iterator[tuple[str, T]]:
    """All items with their domain: one of each domain that is no language, then two languages, and again."""
    pairs = {domain: [(domain, item) for item in of] for domain, of in items.items()}
    kinds = zip_longest(*(of for domain, of in pairs.items() if domain not in languages))
    spoken = filter(None, chain(*zip_longest(*(of for domain, of in pairs.items() if domain in languages))))
    while turn := [*filter(None, next(kinds, ())), *islice(spoken, _LANGUAGES_A_TURN)]:
        yield from turn
