"""From samples to figures, from figures to a verdict, and what is kept of it all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelstore.errors import NotFound, NybbleError, UserError
from runner.bench import against, runs
from runner.bench.figures import Figure, mean, percentile, pooled
from runner.bench.plan import Plan
from runner.bench.runs import Run
from runner.bench.steady import is_steady, warm_up
from runner.cli import bench_output

SETUP = {"model": "tiny:latest", "digest": "sha256:aa", "threads": "2"}


def run(*figures: Figure, **setup: str) -> Run:
    return Run(datetime(2026, 5, 1, 14, 2, tzinfo=UTC), SETUP | setup, figures, ("a neighbour",))


def test_percentiles_are_of_all_rounds_and_their_spread_is_between_rounds() -> None:
    assert [percentile(range(1, 101), percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([7.0], 99) == 7.0
    slow = pooled("TTFT p50, 1 client", "ms", [[1, 2, 3], [1, 2, 30], [5, 6, 7]], 50)
    assert (slow.value, slow.spread) == (3, pytest.approx(2.309, abs=1e-3))
    assert mean("tg4", "tok/s", [10, 12]) == Figure("tg4", "tok/s", 11, pytest.approx(2**0.5))
    assert mean("tg4", "tok/s", [10]).spread is None


@pytest.mark.parametrize(
    "durations, expected",
    [([1, 1], False), ([9, 1, 1.04, 1.05], True), ([1, 1, 1, 1.06], False), ([2, 1, 1, 1], True)],
)
def test_steady_is_three_repetitions_within_5_percent(durations: list[float], expected: bool) -> None:
    assert is_steady(durations) is expected


async def test_warming_up_ends_when_steady_after_ten_or_after_a_minute() -> None:
    taken: list[float] = []

    async def faster() -> float:
        taken.append(2 / (len(taken) + 1))
        return taken[-1]

    async def steady() -> float:
        taken.append(1)
        return 1

    async def slower() -> float:
        taken.append(15 * (len(taken) - 12))
        return taken[-1]

    assert not await warm_up(faster)
    assert len(taken) == 10
    assert await warm_up(steady)
    assert len(taken) == 13
    assert not await warm_up(slower)
    assert taken[13:] == [15, 30, 45], "a minute was over"


@pytest.mark.parametrize(
    "before, now, verdict",
    [
        (Figure("tg4", "tok/s", 100, 3), Figure("tg4", "tok/s", 109, 4), "within ±"),
        (Figure("tg4", "tok/s", 100, 3), Figure("tg4", "tok/s", 111, 4), "better"),
        (Figure("tg4", "tok/s", 100, 3), Figure("tg4", "tok/s", 89, 4), "worse"),
        (Figure("TTFT", "ms", 100, 3), Figure("TTFT", "ms", 111, 4), "worse"),
        (Figure("TTFT", "ms", 100, 3), Figure("TTFT", "ms", 89, 4), "better"),
        (Figure("TTFT", "ms", 100, None), Figure("TTFT", "ms", 10, 4), None),
        (Figure("tg4", "tok/s", 100, 3), Figure("tg4", "tok/s", 9, 1, (1,), True), "disturbed"),
        (Figure("tg4", "tok/s", 9, 1, (1, 2), True), Figure("tg4", "tok/s", 100, 3), "disturbed"),
    ],
)
def test_a_change_counts_beyond_twice_its_spread(before: Figure, now: Figure, verdict: str | None) -> None:
    (change,) = against.changes(run(before, replace(before, name="only then")), run(now))
    assert change.verdict == verdict
    assert change.fraction == pytest.approx(now.value / before.value - 1)


def test_a_comparison_claims_nothing_of_disturbed_figures(capsys: pytest.CaptureFixture[str]) -> None:
    calm, slow = Figure("tg4", "tok/s", 100, 3, (2,)), Figure("tg4", "tok/s", 9, 1, (1, 2), True)
    bench_output.write_comparison(run(calm), run(replace(calm, value=120)))
    bench_output.write_comparison(run(slow), run(calm))
    bench_output.write_run(run(slow))
    shown = capsys.readouterr()
    assert "+20.0%, better" in shown.out
    assert "9.00 ± 1.00    100.0 ± 3.00 tok/s    disturbed" in shown.out
    assert "9.00 ± 1.00 tok/s    1 and 2    disturbed" in shown.out
    assert shown.err == "run 0 was disturbed: `nybble bench --history --json` has its warnings\n"


def test_what_differs_is_named() -> None:
    assert against.differences(run(), run()) == []
    assert against.differences(run(slots="4"), run(threads="1")) == ["threads: 2, now 1", "slots: 4, now -"]


def test_runs_are_kept_and_found(tmp_path: Path) -> None:
    file = tmp_path / "state" / "bench.jsonl"
    assert runs.load(file) == []
    first = runs.keep(file, run(mean("tg4", "tok/s", [10, 12])))
    second = runs.keep(file, run(Figure("tg4", "tok/s", 9, None, (1, 2), True), digest="sha256:bb"))
    assert runs.load(file) == [first, second]
    assert (first.number, second.number) == (1, 2)
    assert runs.find([first, second], "last", "sha256:aa") == first
    assert runs.find([first, second], "2", "sha256:aa") == second
    for wanted, digest in (("3", "sha256:aa"), ("last", "sha256:cc")):
        with pytest.raises(NotFound):
            runs.find([first, second], wanted, digest)
    assert (first.disturbed, second.disturbed) == (False, True)
    kept = file.read_bytes()
    for damage in (b'{"at": "today"}\n', kept[: len(kept) // 3], b"\xff"):
        file.write_bytes(kept + damage)
        with pytest.raises(NybbleError, match="line 3"):
            runs.load(file)


def test_a_plan_stays_within_the_models_context() -> None:
    plan = Plan(prompt_tokens=64, generate_tokens=16, depths=(0, 192, 193))
    assert plan.within(256).depths == (0, 192)
    assert plan.within(256).context_length == 256
    assert [test.name for test in plan.within(256).tests] == ["pp64", "tg16", "pp64 @ d192", "tg16 @ d192"]
    with pytest.raises(UserError, match="context of 79"):
        plan.within(79)
    assert replace(plan, clients=()).within(79).depths == (0,)
