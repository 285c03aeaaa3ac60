"""Speculation on the two real models: the plain text, in fewer steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from native.llama import Context, ContextOptions, Model
from runner.protocol import Finished, Generate, Sampling
from runner.worker.drafting.gain import ROWS
from runner.worker.engine import Engine
from runner.worker.speculate import draft_tokens
from tests.repeating import AGAIN

# Of a machine on which rows cost little: drafts are as long as they can be.
CHEAP = dict(zip(ROWS, (1.0, 1.01, 1.02, 1.04, 1.08, 1.16), strict=True))
REPEAT = Generate("repeat", (AGAIN,), Sampling(temperature=0, max_tokens=120))


@contextmanager
def engine(path: Path, *, speculates: bool) -> Iterator[Engine]:
    model = Model(path, 0)
    context = Context(model, ContextOptions(1024, 1, 512, 1, 1, draft_tokens(model, 1) if speculates else 0))
    running = Engine(context, 0.0)
    yield running
    running.close()
    context.close()
    model.close()


def run(engine: Engine) -> tuple[str, Finished, int]:
    """Text, end and number of steps."""
    engine.submit(REPEAT)
    text, steps = "", 0
    while True:
        engine._speculation._costs.measured(CHEAP)
        step = engine.step()
        steps += 1
        text += "".join(delta.text for delta in step.deltas)
        if step.finished:
            return text, step.finished[0], steps


# The window of gemma, 512 tokens, moves on while it answers: what is rejected must leave it whole.
@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_a_repeated_text_comes_in_few_steps_and_is_the_same(
    name: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(name)
    with engine(path, speculates=False) as plain:
        expected, _, plain_steps = run(plain)
    with engine(path, speculates=True) as fast:
        text, end, steps = run(fast)
    assert text == expected
    # Where gemma takes up the story again is a matter of rounding, and so of the processor.
    said_again = SequenceMatcher(None, text, AGAIN, autojunk=False).find_longest_match().size
    assert said_again > 150
    assert steps < plain_steps / 3
    assert end.drafted_tokens > end.accepted_tokens > 80
