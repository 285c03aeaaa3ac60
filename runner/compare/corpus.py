"""The texts that come with nybble: what they are, and reading them unaltered (`texts/texts.toml`)."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from modelstore.errors import Unusable
from runner.compare.block import Block
from runner.compare.blocks import Tokenizer, Window, beginning, text_blocks
from runner.compare.excerpts import Excerpt, excerpt_block, excerpts
from runner.compare.turns import in_turn

FOLDER = Path(__file__).parent / "texts"
_PROMPT_BORDER = "\n%%\n"


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


def prose(folder: Path = FOLDER) -> str:
    """All of the corpus that is in English sentences, as one text."""
    corpus = (text for text in texts(folder) if text.use == "corpus" and text.domain == "prose")
    return "".join(read(text, folder) for text in corpus)


def fixed_blocks(tokenizer: Tokenizer, window: Window, chunks: int, folder: Path = FOLDER) -> list[Block]:
    """Blocks of text that no model wrote, domains in turn; as much work as `chunks` times 512 tokens. The
    compatible window takes prose only, which llama-perplexity can be given as it lies there."""
    corpus = [text for text in texts(folder) if text.use == "corpus"]
    if window.is_compatible:
        return text_blocks(tokenizer, prose(folder), window, chunks, "prose")
    found: dict[str, list[Block]] = {}
    for text in corpus:
        cut = text_blocks(tokenizer, read(text, folder), window, None, text.domain)
        found.setdefault(text.domain, []).extend(cut)
    chosen = islice(in_turn(found, languages(folder)), window.blocks(chunks))
    return [replace(block, index=index) for index, (_, block) in enumerate(chosen)]


def excerpt_blocks(
    tokenizer: Tokenizer, count: int, own: str | None = None, folder: Path = FOLDER
) -> list[Block]:
    """So many excerpts, domains in turn, or of the user's `own` text: the same in every vocabulary."""
    cut: dict[str, list[Excerpt]] = {}
    for text in (text for text in texts(folder) if text.use == "corpus" and own is None):
        cut.setdefault(text.domain, []).extend(excerpts(read(text, folder)))
    if own is not None:
        cut["own text"] = list(excerpts(own))
    chosen = islice(in_turn(cut, languages(folder)), count)
    bos = beginning(tokenizer)
    return [excerpt_block(tokenizer, bos, index, *each) for index, each in enumerate(chosen)]
