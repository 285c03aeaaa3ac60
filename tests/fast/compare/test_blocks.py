"""Where texts are cut, against positions worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelstore.errors import UserError
from native.llama import Model
from runner.compare import corpus
from runner.compare.blocks import EFFICIENT, Block, Window, compatible, cut, stream_digest, text_blocks
from runner.compare.own_text import conversations
from runner.compare.rendering import template_digest
from runner.wire import Session, SessionMessage
from tests.tiny_gguf import write_model

BOS = 1000


@dataclass(frozen=True, slots=True)
class InProcess:
    """What a Scorer says of text and tokens, without the child between."""

    model: Model

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return self.model.tokenize(text, add_special=add_special, parse_special=parse_special)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [self.model.piece(token) for token in tokens]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Iterator[InProcess]:
    model = Model(tiny_model, 0)
    yield InProcess(model)
    model.close()


def test_llama_perplexitys_windows() -> None:
    tokens = range(26)
    assert list(cut(tokens, compatible(8), None)) == [tuple(range(at, at + 8)) for at in (0, 8, 16)]
    assert list(cut(tokens, compatible(8), BOS)) == [
        (BOS, 1, 2, 3, 4, 5, 6, 7),
        (BOS, 9, 10, 11, 12, 13, 14, 15),
        (BOS, 17, 18, 19, 20, 21, 22, 23),
    ]


def test_efficient_windows_lose_no_token() -> None:
    window = Window(8, 2)
    assert list(cut(range(13), window, None)) == [tuple(range(8)), tuple(range(8, 13))]
    assert list(cut(range(12), window, None)) == [tuple(range(8))]
    assert list(cut(range(18), window, BOS)) == [
        (BOS, 0, 1, 2, 3, 4, 5, 6),
        (BOS, 7, 8, 9, 10, 11, 12, 13),
        (BOS, 14, 15, 16, 17),
    ]


def test_what_is_scored(tokenizer: InProcess) -> None:
    text = "".join(f"The {number}th boat left the harbour. " for number in range(400))
    blocks = text_blocks(tokenizer, text, compatible(), 3)
    # Predictions at positions 256 to 510 are of the tokens 257 to 511.
    assert [(len(block.tokens), block.first_scored, block.scored_tokens) for block in blocks] == [
        (512, 257, 255)
    ] * 3
    assert blocks[1].tokens[1:] == tuple(
        tokenizer.tokenize(text, add_special=True, parse_special=False)[513:1024]
    )
    for block in blocks:
        assert block.scored_bytes == len(b"".join(tokenizer.pieces(block.tokens[257:])))
    efficient = text_blocks(tokenizer, text, EFFICIENT, 4)
    assert [(len(block.tokens), block.first_scored, block.scored_tokens) for block in efficient] == [
        (1024, 65, 959)
    ] * 2
    assert [block.index for block in efficient] == [0, 1]


def test_spellings_of_control_tokens_stay_text(tokenizer: InProcess) -> None:
    text = "<s></s><|endoftext|> is how it begins. " * 60
    (block, *_) = text_blocks(tokenizer, text, Window(64, 8), None)
    assert b"".join(tokenizer.pieces(block.tokens)).count(b"<|endoftext|>") >= 2


def test_too_little_text_is_refused(tokenizer: InProcess) -> None:
    with pytest.raises(UserError, match=r"only \d+ tokens, and scoring it takes 1,024"):
        text_blocks(tokenizer, "Short.", compatible(), None)
    with pytest.raises(UserError, match="scoring it takes 129"):
        text_blocks(tokenizer, "", EFFICIENT, None)


def test_the_corpus_in_both_windows(tokenizer: InProcess) -> None:
    prose = corpus.fixed_blocks(tokenizer, compatible(), 16)
    assert len(prose) == 16 and {block.domain for block in prose} == {"prose"}
    blocks = corpus.fixed_blocks(tokenizer, EFFICIENT, 1000)
    assert {block.domain for block in blocks} == {text.domain for text in corpus.texts()}
    assert [block.index for block in blocks] == list(range(len(blocks)))
    few = corpus.fixed_blocks(tokenizer, EFFICIENT, 16)
    assert few == blocks[:8] and len({block.domain for block in few}) == 7


def test_excerpts_are_the_same_bytes_in_every_vocabulary(tokenizer: InProcess, tmp_path: Path) -> None:
    other = Model(write_model(tmp_path / "bytes.gguf"), 0)
    ours, theirs = (corpus.excerpt_blocks(each, 24) for each in (tokenizer, InProcess(other)))
    assert [block.domain for block in ours] == [block.domain for block in theirs]
    assert len({block.domain for block in ours}) > 9
    for one, same in zip(ours, theirs, strict=True):
        text, said = (_scored(each, block) for each, block in ((tokenizer, one), (InProcess(other), same)))
        # This vocabulary spells spaces in bytes of its own.
        assert said.replace("▁".encode(), b" ").endswith(text[20:])
        assert one.scored_bytes == same.scored_bytes and abs(len(text) - one.scored_bytes) < 20
    other.close()


def _scored(tokenizer: InProcess, block: Block) -> bytes:
    return b"".join(tokenizer.pieces(block.tokens[block.first_scored :]))


def test_digests_tell_streams_apart(tokenizer: InProcess) -> None:
    blocks = corpus.fixed_blocks(tokenizer, compatible(), 2)
    others = corpus.fixed_blocks(tokenizer, EFFICIENT, 2)
    digests = {
        stream_digest(blocks),
        stream_digest(blocks[:1]),
        stream_digest(blocks[::-1]),
        stream_digest(others),
    }
    assert len(digests) == 4 and all(len(digest) == 64 for digest in digests)
    assert template_digest(None) is None
    assert template_digest("a") != template_digest("b")


def test_conversations_as_text() -> None:
    def session(*messages: SessionMessage) -> Session:
        now = datetime.now(UTC)
        return Session(id=1, title="", created_at=now, updated_at=now, messages=list(messages))

    said = session(
        SessionMessage(role="user", content=" What is a fjord?\n"),
        SessionMessage(role="assistant", content="A drowned valley."),
        SessionMessage(role="user", content="And a loch?"),
        SessionMessage(role="assistant", content="A lo", is_partial=True),
    )
    text = conversations([said, session(), session(SessionMessage(role="user", content="Hi"))])
    assert text == "What is a fjord?\n\nA drowned valley.\n\nAnd a loch?\n\nHi"
