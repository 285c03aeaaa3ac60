"""The model's own head as a drafter: the same text, and guesses made from the right states."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelstore.gguf import read_header
from modelstore.header import Header
from native.llama import Context, ContextOptions, Model
from runner.prediction_head import has_head
from runner.protocol import HEAD_ROLLBACK_TOKENS, Generate, Sampling
from runner.worker.drafting.drafter import Drafter, Wish
from runner.worker.drafting.head import Head
from runner.worker.engine import Engine
from runner.worker.prefix.caches import PrefixLimits
from runner.worker.speculate import draft_tokens
from tests.fast.engine.test_speculation import Run, ask
from tests.kinds_gguf import KINDS, write_foreseen, write_kind

ENDLESS = Sampling(temperature=0, max_tokens=120, ignore_eos=True)
DRAWN = Sampling(temperature=0.8, seed=5, max_tokens=120, ignore_eos=True)
# Long enough for a checkpoint, for the window of states, and short.
PROMPTS = ["abcdefgh " * 36, "to be or not to be " * 12, "abc"]
RAM = PrefixLimits(ram_bytes=64 << 20)


@dataclass(frozen=True, slots=True)
class Written:
    """A model that was written for a test, and whether its state cannot be cut."""

    model: Model
    name: str

    @contextmanager
    def engine(self, slots: int = 1, *, with_head: bool = True) -> Iterator[Engine]:
        rollback = HEAD_ROLLBACK_TOKENS if with_head and self.model.is_recurrent else 0
        room = draft_tokens(self.model, slots, rollback) if with_head else 0
        exact = ContextOptions(512, slots, 256, 1, 1, room, "f32", "f32", False, rollback_tokens=rollback)
        context = Context(self.model, exact)
        running = Engine(context, 0.0, RAM, Head(context) if with_head else None)
        yield running
        running.close()
        context.close()


@pytest.fixture(scope="module", params=["head", "hybrid with head"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    path = write_kind(tmp_path_factory.mktemp("heads") / "model.gguf", request.param)
    model = Model(path, 0, with_head=True)
    yield Written(model, request.param)
    model.close()


@pytest.mark.parametrize("sampling", [ENDLESS, DRAWN], ids=["greedy", "drawn"])
@pytest.mark.parametrize("prompts", [PROMPTS[:1], PROMPTS], ids=["one", "three"])
def test_the_text_is_that_of_the_plain_engine(
    written: Written, prompts: list[str], sampling: Sampling
) -> None:
    with written.engine(len(prompts), with_head=False) as plain, written.engine(len(prompts)) as fast:
        expected, ran = ask(plain, prompts, sampling), ask(fast, prompts, sampling)
        # From what the slots hold after all those rejected guesses.
        again = ask(fast, prompts, sampling)
    assert ran.texts == expected.texts
    assert again.texts == expected.texts
    assert again.ends[0].cached_tokens > 300
    # Of random weights, few are right.
    assert ran.drafted > ran.accepted


def test_what_is_drafted_after_rejections_is_what_a_fresh_head_drafts(written: Written) -> None:
    """Each token is read with the state before it, whatever was guessed, rejected and cut meanwhile."""
    sampling = Sampling(temperature=0, max_tokens=60, ignore_eos=True)
    with written.engine() as fast, written.engine() as fresh:
        fast.submit(Generate("0", (PROMPTS[2],), sampling))
        prompt_length = len(_run_until(fast, 1))
        tokens = _run_until(fast, prompt_length + 40)
        said = b"".join(written.model.piece(token) for token in tokens[prompt_length - 1 : -1])
        fresh.submit(Generate("0", (PROMPTS[2] + said.decode(),), sampling))
        assert _run_until(fresh, len(tokens)) == tokens
        drafts = [_drafter(each).draft([Wish(0, "0", tokens, 3)], 0.0)[0] for each in (fast, fresh)]
    assert drafts[0].tokens == drafts[1].tokens
    assert drafts[0].confidences == pytest.approx(drafts[1].confidences, rel=1e-3)


def _run_until(engine: Engine, length: int) -> list[int]:
    """Steps until the only sequence has `length` tokens; returns them."""
    sequence = None
    while sequence is None or len(sequence.tokens) < length:
        engine._speculation._costs.measured({1: 1.0, 2: 1.01, 4: 1.02, 8: 1.04, 16: 1.08, 32: 1.16})
        engine.step()
        sequence = engine._slots[0].sequence
        assert sequence is not None
    return list(sequence.tokens)


def _drafter(engine: Engine) -> Drafter:
    drafter = engine._speculation._drafter
    assert drafter is not None
    return drafter


def test_a_head_that_knows_is_always_right(tmp_path: Path) -> None:
    model = Model(write_foreseen(tmp_path / "model.gguf", 3), 0, with_head=True)
    # Too short for n-grams to find anything.
    few = Sampling(temperature=0, max_tokens=5, ignore_eos=True)
    with Written(model, "foreseen").engine(8) as fast:
        ran: Run = ask(fast, "abcdefgh", few)
    model.close()
    # One token by itself, then three at once, then the last.
    assert (ran.drafted, ran.accepted, ran.steps) == (8 * 2, 8 * 2, 3)


def test_idle_time_measures_without_losing_what_slots_hold(written: Written) -> None:
    with written.engine(slots=2) as fast:
        ask(fast, PROMPTS[:1], ENDLESS)
        while fast.use_idle_time():
            pass
        again = ask(fast, PROMPTS[:1], ENDLESS)
    assert again.ends[0].cached_tokens == again.ends[0].prompt_tokens - 1 or written.model.is_recurrent


@pytest.mark.parametrize("name", KINDS)
def test_only_files_with_a_head_that_can_be_run_have_one(name: str, tmp_path: Path) -> None:
    path = write_kind(tmp_path / "model.gguf", name)
    with path.open("rb") as file:
        header = read_header(file, path.stat().st_size)
    assert has_head(header) == (name in ("head", "hybrid with head"))
    # As if it had been converted without the head's tensors.
    trunk = tuple(tensor for tensor in header.tensors if ".nextn." not in tensor.name)
    assert not has_head(Header(header.version, header.metadata, trunk, header.data_offset))
