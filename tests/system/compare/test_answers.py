"""The reference's own answers, written by a real model in its child."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from runner.compare.answers import AnswerPlan, answer_blocks
from runner.compare.blocks import stream_digest
from runner.compare.rendering import Chat, prompt_tokens
from runner.compare.scoring import Scorer
from runner.compare.variant import Engine, Variant

PLAIN = Chat("{{ messages[0].content }}{{ '\n\n' }}", "", "", ())


@pytest.fixture(scope="module")
def scorer(tiny_model: Path) -> Iterator[Scorer]:
    engine = Engine(context_length=1024, threads=1, gpu_layers=0)
    variant = Variant("F16", tiny_model, "sha256:0", tiny_model.stat().st_size, None, engine)
    with Scorer.running(variant, (), None, Event()) as running:
        yield running


def test_only_the_answer_is_scored_and_domains_take_turns(scorer: Scorer) -> None:
    reported: list[tuple[int, int]] = []
    plan = AnswerPlan(tokens=400, max_tokens=32, seconds=60, seed=7)
    blocks = list(answer_blocks(scorer, PLAIN, plan, lambda done, of: reported.append((done, of))))
    assert len({block.domain for block in blocks[:7]}) >= 6
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert reported[-1] == (400, 400)
    for block in blocks:
        prompt = b"".join(scorer.pieces(block.tokens[: block.first_scored]))
        assert prompt.endswith(b"\n\n") and 0 < block.scored_tokens <= 32
        assert block.scored_bytes == len(b"".join(scorer.pieces(block.tokens[block.first_scored :])))
    again = list(answer_blocks(scorer, PLAIN, plan, lambda done, of: None))
    assert stream_digest(again) == stream_digest(blocks)


def test_a_slow_reference_stops_early_but_not_at_once(scorer: Scorer) -> None:
    plan = AnswerPlan(tokens=100_000, max_tokens=8, seconds=0, seed=1)
    blocks = list(answer_blocks(scorer, PLAIN, plan, lambda done, of: None))
    assert 12 <= len(blocks) <= 24


def test_a_template_that_writes_the_beginning_gets_no_second_one(scorer: Scorer) -> None:
    bos = scorer.loaded[0].bos_text
    chat = Chat("", bos, "", (bos,))
    once = prompt_tokens(scorer, chat, (f"{bos}Hello", " there"))
    assert once == [*scorer.tokenize(f"{bos}Hello", add_special=False, parse_special=True),
                    *scorer.tokenize(" there", add_special=False, parse_special=True)]  # fmt: skip
