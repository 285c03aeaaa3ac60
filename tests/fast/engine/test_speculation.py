"""Speculation through the whole engine: the same text in fewer steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import cache
from pathlib import Path
from statistics import NormalDist

import pytest
from llguidance import LLMatcher
from msgspec.structs import replace

from native.llama import Context, ContextOptions, Model
from native.log import Log
from runner.protocol import Constraint, Finished, Generate, Sampling
from runner.worker.drafting.draft_model import DraftModel
from runner.worker.drafting.gain import ROWS
from runner.worker.drafting.pairing import Unpaired, load_draft
from runner.worker.engine import Engine
from runner.worker.speculate import LONGEST_DRAFT, draft_tokens
from tests.kinds_gguf import WINDOW, write_kind
from tests.tiny_gguf import write_model

DATA = Path(__file__).parents[2] / "data"
DRAFT = DATA / "nybble-tiny-draft-f16.gguf"
GREEDY = Sampling(temperature=0, max_tokens=80)
REPEATS = "def main(arguments):"
PROMPTS = [REPEATS, "The list command shows the files", "In the beginning there was", "SYNOPSIS"]
CHEAP = dict(zip(ROWS, (1.0, 1.01, 1.02, 1.04, 1.08, 1.16), strict=True))
F16_ON_A_CPU = dict(zip(ROWS, (1.0, 1.2, 1.6, 2.5, 4.2, 8.0), strict=True))
DEAR = {rows: float(rows) for rows in ROWS}
MODES = ["n-grams", "draft model"]


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(DATA / "nybble-tiny-f16.gguf", 0)
    yield model
    model.close()


@pytest.fixture(scope="module")
def small() -> Iterator[Model]:
    """Of the same vocabulary: where it does not matter what is said, it says it in a third of the time."""
    model = Model(DRAFT, 0)
    yield model
    model.close()


@pytest.fixture
def main(mode: str, model: Model, small: Model) -> Model:
    """A draft model needs a larger one; n-grams do not."""
    return small if mode == "n-grams" else model


class Priced(DraftModel):
    """Its tokens take 0.15 of the main model's, and what it reads a quarter of that: here, on any machine."""

    def __init__(self, main: Model, options: ContextOptions) -> None:
        super().__init__(Context(Model(DRAFT, 0), replace_fields(options, draft_tokens=0)), main.size_bytes)
        self._token_s, self._read_s = 0.15, 0.15 / 4
        self.spent_s = 0.0

    def decode(self) -> None:
        super().decode()
        self._token_s, self._read_s = 0.15, 0.15 / 4
        tokens = self.context.batch.struct.n_tokens
        self.spent_s += self._token_s if tokens == len(self.context.batch.parts) else tokens * self._read_s


@contextmanager
def engine(
    model: Model, mode: str, slots: int = 1, length: int = 512, room: int | None = None
) -> Iterator[Engine]:
    """Speculates from "n-grams", with a "draft model" or a "priced" one as well, or not ("plain"), with
    `room` for so many guesses in a step (None: as in a worker)."""
    if room is None:
        room = 0 if mode == "plain" else draft_tokens(model, slots)
    options = ContextOptions(length, slots, 256, 1, 1, room)
    beside: DraftModel | None = None
    if mode == "draft model":
        beside = load_draft(DRAFT, 0, model, options, Log())
    elif mode == "priced":
        beside = Priced(model, options)
    context = Context(model, options)
    running = Engine(context, 0.0, drafter=beside)
    yield running
    running.close()
    context.close()


@dataclass(frozen=True, slots=True)
class Run:
    """What became of requests, in their order."""

    texts: list[str]
    ends: list[Finished]
    steps: int

    @property
    def drafted(self) -> int:
        return sum(end.drafted_tokens for end in self.ends)

    @property
    def accepted(self) -> int:
        return sum(end.accepted_tokens for end in self.ends)


def run(engine: Engine, requests: Iterable[Generate], seconds: dict[int, float] = CHEAP) -> Run:
    """What steps cost decides what is drafted, and on a test machine it is anything: here it is `seconds`."""
    for request in requests:
        engine.submit(request)
    texts: dict[str, str] = {}
    ends: dict[str, Finished] = {}
    steps = 0
    while not engine.is_idle:
        engine._speculation._costs.measured(seconds)
        step = engine.step()
        assert not step.failed, step.failed
        steps += 1
        for delta in step.deltas:
            texts[delta.request_id] = texts.get(delta.request_id, "") + delta.text
        ends |= {end.request_id: end for end in step.finished}
    names = sorted(ends, key=int)
    return Run([texts.get(name, "") for name in names], [ends[name] for name in names], steps)


def asking(prompts: Iterable[str], sampling: Sampling = GREEDY) -> tuple[Generate, ...]:
    return tuple(Generate(str(at), (prompt,), sampling) for at, prompt in enumerate(prompts))


def ask(engine: Engine, prompts: Iterable[str], sampling: Sampling = GREEDY) -> Run:
    return run(engine, asking(prompts, sampling))


@cache
def plainly(model: Model, requests: tuple[Generate, ...], length: int = 512) -> Run:
    """What the engine says without speculation, computed once for all that is held against it."""
    with engine(model, "plain", len(requests), length) as plain:
        return run(plain, requests)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prompts", [[REPEATS], PROMPTS], ids=["one", "four"])
def test_greedy_text_is_that_of_the_plain_engine(main: Model, mode: str, prompts: list[str]) -> None:
    expected = plainly(main, asking(prompts))
    with engine(main, mode, len(prompts)) as fast:
        ran = ask(fast, prompts)
    assert ran.texts == expected.texts
    assert ran.steps < expected.steps
    assert 0 < ran.accepted <= ran.drafted
    assert expected.drafted == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_drafts_of_all_streams_have_room_together(main: Model, mode: str) -> None:
    """llama.cpp ends the process where a step wants logits of more tokens than it was told."""
    with engine(main, mode, len(PROMPTS), room=5) as narrow:
        ran = ask(narrow, PROMPTS)
    assert ran.texts == plainly(main, asking(PROMPTS)).texts and ran.accepted


def test_a_draft_model_finds_what_has_not_been_said_yet(model: Model) -> None:
    short = Sampling(temperature=0, max_tokens=20)
    with engine(model, "n-grams") as ngrams, engine(model, "draft model") as with_model:
        assert ask(with_model, PROMPTS, short).accepted > ask(ngrams, PROMPTS, short).accepted + 10


def test_a_draft_model_that_is_never_right_costs_a_hundredth(small: Model) -> None:
    """In steps of the main model, of which the text of a hundred tokens takes a hundred."""
    noise = Sampling(temperature=5, top_k=0, top_p=1, seed=1, max_tokens=100, ignore_eos=True)
    with engine(small, "priced", length=1024) as fast:
        drafter = fast._speculation._drafter
        assert isinstance(drafter, Priced)
        run(fast, [Generate("0", ("SYNOPSIS",), noise)], F16_ON_A_CPU)
        spent_before_s = drafter.spent_s
        for number in range(1, 6):
            prompt = f"{number} " + "list command shows the files in a loop " * 40
            ran = run(fast, [Generate("0", (prompt,), noise)], F16_ON_A_CPU)
            assert ran.ends[0].prompt_tokens > 200
    assert drafter.spent_s - spent_before_s <= 0.02 * 500


def test_sampled_text_has_the_distribution_of_the_plain_engine(small: Model) -> None:
    """Two-sample chi-square over the first three tokens, of which drafts can hold the second and third."""
    with engine(small, "plain", 8, 64) as plain, engine(small, "priced", 8, 64) as fast:
        expected, ran = first_tokens(plain, range(1200)), first_tokens(fast, range(10_000, 11_200))
    assert sum(each.accepted for each in ran) > 500
    one, other = (Counter(text for each in runs for text in each.texts) for runs in (expected, ran))
    assert one.total() == other.total() == 1200
    cells = one.keys() | other.keys()
    # Of two samples of equal size.
    statistic = sum((one[text] - other[text]) ** 2 / (one[text] + other[text]) for text in cells)
    assert statistic < critical(len(cells) - 1)


def first_tokens(engine: Engine, seeds: range) -> list[Run]:
    """As many at a time as there are slots: every step looks at all that wait."""
    few = Sampling(temperature=1.0, top_k=4, max_tokens=3, ignore_eos=True)
    requests = [Generate(str(seed), ("The list",), replace(few, seed=seed)) for seed in seeds]
    return [run(engine, requests[at : at + 8]) for at in range(0, len(requests), 8)]


def critical(freedom: int) -> float:
    """What chance exceeds once in ten thousand times, by Wilson and Hilferty's approximation."""
    z = NormalDist().inv_cdf(1 - 1e-4)
    return float(freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tokens", [1, 2, 37])
def test_no_token_more_than_asked_for(main: Model, mode: str, tokens: int) -> None:
    with engine(main, mode) as fast:
        (end,) = ask(fast, [REPEATS], Sampling(temperature=0, max_tokens=tokens, ignore_eos=True)).ends
    assert (end.completion_tokens, end.reason) == (tokens, "length")
    assert end.drafted_tokens == 0 or tokens > 2, "the last token needs no guess behind it"


@pytest.mark.parametrize("mode", MODES)
def test_a_draft_does_not_reach_beyond_the_context(main: Model, mode: str) -> None:
    endless = Sampling(temperature=0, ignore_eos=True)
    with engine(main, mode, length=256) as fast:
        ran = ask(fast, [REPEATS], endless)
    assert ran.texts == plainly(main, asking([REPEATS], endless), 256).texts
    assert ran.ends[0].prompt_tokens + ran.ends[0].completion_tokens == 256
    assert ran.accepted > 100


@pytest.mark.parametrize("mode", MODES)
def test_a_context_that_shifts_says_the_same(main: Model, mode: str) -> None:
    request = Generate(
        "0", (REPEATS,), Sampling(temperature=0, max_tokens=300, ignore_eos=True), overflow="shift"
    )
    # Short enough that a draft is longer than what a constraint may put in at once.
    expected = plainly(main, (request,), 96)
    with engine(main, mode, length=96) as fast:
        ran = run(fast, [request])
    assert ran.ends[0].shifted_tokens == expected.ends[0].shifted_tokens > 0
    assert ran.texts == expected.texts
    assert ran.accepted > 100


def test_a_stop_string_inside_a_draft_ends_the_text(small: Model) -> None:
    (whole,) = plainly(small, asking([REPEATS])).texts
    # Where it has been repeating for a while, so that it comes with a draft.
    stopping = replace(GREEDY, stop=(whole[-60:],))
    expected = plainly(small, asking([REPEATS], stopping))
    with engine(small, "n-grams") as fast:
        ran = ask(fast, [REPEATS], stopping)
        # What the slot holds after that is the text, and nothing of the draft.
        again = ask(fast, [REPEATS])
    assert ran.texts == expected.texts
    assert (ran.ends[0].reason, ran.accepted > 0) == ("stop", True)
    assert again.texts == [whole]


def test_constraints_hold_inside_drafts(small: Model) -> None:
    constraint = Constraint(LLMatcher.grammar_from_regex(r"[ab ]+"))
    request = Generate("0", ("ab ab ab ab ab ab",), replace(GREEDY, max_tokens=40), constraint=constraint)
    with engine(small, "n-grams") as fast:
        ran = run(fast, [request])
    assert ran.texts == plainly(small, (request,)).texts
    assert ran.accepted > 0


def test_the_request_may_refuse(model: Model) -> None:
    with engine(model, "draft model") as fast:
        assert run(fast, [Generate("0", (REPEATS,), GREEDY, speculation=False)]).drafted == 0


def test_nothing_is_drafted_where_rows_are_dear(model: Model) -> None:
    with engine(model, "draft model") as fast:
        assert run(fast, [Generate("0", (REPEATS,), GREEDY)], DEAR).drafted == 0


def test_what_one_text_said_another_guesses(small: Model) -> None:
    prompt = "\n" + PROMPTS[1] + " of the"
    with engine(small, "n-grams") as fast:
        first, again = ask(fast, [prompt]), ask(fast, [prompt])
    assert again.texts == first.texts
    assert again.accepted > first.accepted


def test_idle_time_measures_and_leaves_no_trace(small: Model) -> None:
    with engine(small, "n-grams", slots=2) as fast:
        before = ask(fast, [REPEATS])
        decodes = 0
        while fast.use_idle_time():
            decodes += 1
        costs = [fast._speculation._costs.seconds(rows) for rows in (1, 16)]
        again = ask(fast, [REPEATS])
    assert decodes > len(ROWS)
    assert 0 < costs[0] < costs[1] < 1
    assert again.texts == before.texts
    assert again.ends[0].cached_tokens == again.ends[0].prompt_tokens - 1


# Models that forget


def test_a_sliding_window_survives_rejected_drafts(tmp_path: Path) -> None:
    window = Model(write_kind(tmp_path / "window.gguf", "window"), 0)
    sampling = Sampling(temperature=0.6, seed=3, max_tokens=4 * WINDOW, ignore_eos=True)
    prompts = ["abcdefgh " * 5, "to be or not to be " * 3, "x"]
    with engine(window, "plain", 3) as plain, engine(window, "n-grams", 3) as fast:
        expected, ran = ask(plain, prompts, sampling), ask(fast, prompts, sampling)
    assert ran.texts == expected.texts
    assert ran.drafted > ran.accepted > 0
    window.close()


def test_a_recurrent_model_never_speculates(tmp_path: Path) -> None:
    mamba = Model(write_kind(tmp_path / "mamba.gguf", "mamba"), 0)
    assert draft_tokens(mamba, 4) == 0
    with engine(mamba, "n-grams") as fast:
        assert not fast.use_idle_time()
        assert ask(fast, ["ab " * 20]).drafted == 0
    mamba.close()


# Pairs


def test_a_draft_model_of_another_vocabulary_is_refused_by_name(model: Model, tmp_path: Path) -> None:
    other = write_model(tmp_path / "bytes.gguf")
    with pytest.raises(Unpaired, match="8192 tokens in its vocabulary and the draft model 259"):
        load_draft(other, 0, model, ContextOptions(256, 1, 64, 1, 1), Log())


def test_room_for_drafts_is_bounded_by_logits(model: Model) -> None:
    assert draft_tokens(model, 4) == 4 * LONGEST_DRAFT
    assert draft_tokens(model, 64) * model.vocabulary_size * 4 <= 16 << 20
