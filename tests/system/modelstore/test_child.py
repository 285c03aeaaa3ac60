"""A child that dies while it speaks."""

from __future__ import annotations

from io import BufferedReader
from pathlib import Path
from threading import Event

import pytest

from runner.compare.scoring import Scorer
from runner.compare.variant import Engine, Variant
from runner.errors import WorkerFailed


def test_what_a_killed_child_did_not_say_to_the_end_is_not_taken_for_an_answer(tiny_model: Path) -> None:
    """Its answer is longer than a pipe: nobody reads on, so it is in the middle of the line when it dies."""
    model = Variant("tiny", tiny_model, "sha256:0", tiny_model.stat().st_size, None, Engine(64, 1, 0))
    with Scorer.running(model, [model], None, Event()) as scorer:
        child = scorer._child
        order = {"text": "so it goes " * 40_000, "add_special": False, "parse_special": False}
        child.send({"tokenize": order})
        answers = child._answers
        assert isinstance(answers, BufferedReader) and answers.peek(1).startswith(b'{"tokens":')
        child.process.kill()
        with pytest.raises(WorkerFailed, match=r"no message \(status -?\d+\)$"):
            scorer.tokenize("a", add_special=False, parse_special=False)
