"""Answers that the reference writes to be scored: kept as they are written, gone on with after a kill."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from threading import Event

import pytest

from modelstore.progress import Cancelled
from runner.compare.answers import AnswerPlan, Manuscript, answer_blocks
from runner.compare.evidence import Evidence, Key
from runner.compare.passages import Passages
from runner.compare.scoring import Scorer
from runner.compare.variant import Engine, Variant
from tests.system.compare.test_answers import PLAIN

_ENGINE = Engine(context_length=1024, threads=1, gpu_layers=0)
_KEY = Key("texts", "answers", "sha256:r", _ENGINE, "template", "0c1e57098", "cpu")
_SHORT = AnswerPlan(tokens=300, max_tokens=8, seconds=60, seed=7)
_LONG = AnswerPlan(tokens=400, max_tokens=8, seconds=60, seed=7)


def _unheard(_written: int, _wanted: int) -> None:
    pass


def test_a_batch_goes_on_where_it_was_stopped(tiny_model: Path, tmp_path: Path) -> None:
    variant = Variant("F16", tiny_model, "sha256:0", tiny_model.stat().st_size, None, _ENGINE)
    evidence = Evidence(tmp_path / "evidence.sqlite3")
    reported: list[int] = []

    def stop_in_the_middle(written: int, _wanted: int) -> None:
        reported.append(written)
        if written > 100:
            raise Cancelled

    with Scorer.running(variant, (), None, Event()) as scorer, pytest.raises(Cancelled):
        Manuscript(PLAIN, _LONG, evidence, _KEY).write(scorer, stop_in_the_middle)
    steps = [later - earlier for earlier, later in pairwise([0, *reported])]
    assert max(steps) <= 24 + _LONG.max_tokens, "a kill loses a block's worth, and the step that filled it"
    heard: list[int] = []
    with Scorer.running(variant, (), None, Event()) as scorer:
        resumed = Manuscript(PLAIN, _LONG, evidence, _KEY)
        resumed.write(scorer, lambda written, _: heard.append(written))
        assert heard[0] > reported[-1]
        assert resumed.blocks == list(answer_blocks(scorer, PLAIN, _LONG, _unheard))[: len(resumed.blocks)]
    evidence.close()


def test_a_manuscript_goes_on_where_it_was(tiny_model: Path, tmp_path: Path) -> None:
    variant = Variant("F16", tiny_model, "sha256:0", tiny_model.stat().st_size, None, _ENGINE)
    evidence = Evidence(tmp_path / "evidence.sqlite3")
    with Scorer.running(variant, (), None, Event()) as scorer:
        killed = Manuscript(PLAIN, _LONG, evidence, _KEY)
        killed.write(scorer, _unheard)
        first = Passages("answers", killed)
        assert 0 < killed.missing_tokens < _LONG.tokens

        resumed = Manuscript(PLAIN, _LONG, evidence, _KEY)
        assert resumed.blocks == killed.blocks
        text = Passages("answers", resumed)
        while text.missing_tokens:
            text.grow(scorer, _unheard)
        assert text.main == list(answer_blocks(scorer, PLAIN, _LONG, _unheard))
        assert Passages("answers", Manuscript(PLAIN, _LONG, evidence, _KEY)).stream == first.stream

    shorter = Manuscript(PLAIN, _SHORT, evidence, _KEY)
    assert not shorter.missing_tokens and shorter.blocks == resumed.blocks[: len(shorter.blocks)]
    assert len(shorter.blocks) < len(resumed.blocks)
    evidence.close()
