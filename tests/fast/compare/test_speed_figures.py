"""From repeated timings to figures, and what is measured when: nothing here runs a model."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import pytest

from modelstore.gguf import read_header
from runner.bench.steady import is_steady
from runner.compare import spread
from runner.compare.answering import with_answer
from runner.compare.energy import Metered, Window, energy, not_measured
from runner.compare.speed_plan import QUICK, SpeedPlan, slowdown, there_and_back
from runner.compare.task import contents
from runner.wire.compare import Estimate, Speed, SpeedAt


def test_a_median_and_its_interval_cover_the_truth_with_few_samples() -> None:
    numbers = random.Random(7)
    for count in (2, 3, 4, 5, 10, 30):
        runs = [spread.median([numbers.gauss(100, 5) for _ in range(count)]) for _ in range(3000)]
        covered = statistics.fmean((run.low or 0) <= 100 <= (run.high or 0) for run in runs)
        assert 0.93 <= covered <= 0.98, count
        # The error is what medians really vary by.
        varied = statistics.stdev(run.value or 0 for run in runs)
        assert statistics.fmean(run.error or 0 for run in runs) == pytest.approx(varied, rel=0.3)


def test_one_disturbed_repetition_moves_nothing_and_one_alone_has_no_error() -> None:
    assert spread.median([10.0, 10.1, 9.9, 10.0, 3.0]).value == 10.0
    alone = spread.median([4.0])
    assert (alone.value, alone.error) == (4.0, None)
    assert alone.reason and "once" in alone.reason
    assert spread.median([]) == Estimate(reason="not measured")


def test_sums_products_and_durations_carry_their_errors() -> None:
    three, four = (Estimate(value=v, error=v / 10, low=v - 1, high=v + 1) for v in (3.0, 4.0))
    total = spread.plus(three, four)
    assert (total.value, total.error) == (7.0, pytest.approx(0.5))
    assert (total.low, total.high) == (pytest.approx(7 - 2**0.5), pytest.approx(7 + 2**0.5))
    # What cannot be negative has a short lower half, and sums keep the longer upper one.
    near_nothing = Estimate(value=1.0, error=1.0, low=0.0, high=5.0)
    clipped = spread.plus(near_nothing, Estimate(value=2.0, error=0.0, low=2.0, high=2.0))
    assert (clipped.low, clipped.high) == (2.0, 7.0)
    assert spread.times(2, three) == Estimate(value=6.0, error=0.6, low=4.0, high=8.0)
    taken = spread.duration(60, three)
    assert (taken.value, taken.low, taken.high) == (20.0, 15.0, 30.0)
    assert spread.plus(three, Estimate(reason="no sensor")) == Estimate(reason="no sensor")
    assert spread.duration(60, Estimate(reason="no sensor")) == Estimate(reason="no sensor")


def test_an_answer_takes_its_prompt_and_all_its_tokens() -> None:
    known = Estimate(value=10.0, error=1.0, low=8.0, high=12.5)
    missing = Estimate(reason="not served")
    speed = Speed(
        prompt_tokens=100,
        generate_tokens=16,
        depths=[SpeedAt(depth=0, prefill_tps=spread.times(10, known), decode_tps=known)],
        **{
            name: missing
            for name in Speed.model_fields
            if name.endswith("_s") and Speed.model_fields[name].annotation is Estimate
        },
    )
    windows = Metered([Window(20, 2, 10)] * 2, [Window(60, 2, 10)] * 2, [5.0])
    timed, joules = with_answer(speed, energy("RAPL", "CPU package", windows), 50)
    # The engine's own prefill stands in where nobody served the variant.
    assert timed.time_to_answer_s.value == pytest.approx(1 + 5)
    assert joules.answer_joules.value == pytest.approx(100 * 2 + 50 * 6)
    _, unknown = with_answer(speed, not_measured("not measurable here: no sensor"), 50)
    assert unknown.answer_joules == Estimate(reason="not measurable here: no sensor")


def test_net_energy_leaves_out_what_the_idle_machine_takes() -> None:
    metered = Metered([Window(100, 4, 20)] * 3, [Window(100, 4, 20)] * 3, [9.0, 11.0])
    figures = energy("RAPL", "CPU package", metered)
    assert (figures.sensor, figures.covers) == ("RAPL", "CPU package")
    assert figures.prompt_joules_gross.value == 5.0
    assert figures.prompt_joules_net.value == pytest.approx(5.0 - 10 * 4 / 20)
    # Windows that agree say nothing of how far the idle power may be off.
    assert figures.prompt_joules_gross.error == 0
    assert figures.prompt_joules_net.error == pytest.approx(1.0 * 4 / 20)


def test_who_is_measured_when_and_until_when() -> None:
    assert there_and_back(3, 3) == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
    found = [is_steady(taken, 2, 1.03) for taken in ([1.0], [9, 1, 1.03], [1, 1, 1.04])]
    assert found == [False, True, False]
    assert slowdown([1, 1, 1.2, 1.2]) == pytest.approx(0.2)
    assert slowdown([1, 1.2]) == 0


def test_a_plan_takes_the_deepest_depth_that_fits() -> None:
    assert SpeedPlan().within(32768).depths == (0, 4096, 16384)
    assert SpeedPlan().within(4096).depths == (0, 3584)
    assert SpeedPlan().within(300) == SpeedPlan(prompt_tokens=300, depths=(0,))
    assert QUICK.within(4096) == QUICK


def test_what_a_file_holds(tiny_model: Path) -> None:
    with tiny_model.open("rb") as stream:
        header = read_header(stream, tiny_model.stat().st_size)
    held = contents(header)
    by_hand = 8 * sum(t.size_bytes for t in header.tensors) / sum(t.weights for t in header.tensors)
    assert held["bits_per_weight"] == pytest.approx(by_hand)
    assert held["bits_per_weight"] == pytest.approx(16.0, abs=0.02)
    assert held["body_bits_per_weight"] != held["bits_per_weight"]
    assert sum(held["types"].values()) == header.weights_bytes
    assert list(held["types"]) == ["F16", "F32"]
