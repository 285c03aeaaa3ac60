"""How a comparison reads as text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.readout.canvas import Axis
from runner.readout.course import Course
from runner.readout.numbers import Figure, amount, duration, figure, rounded
from runner.readout.plot import plot
from runner.readout.span import plain
from runner.readout.table import table
from runner.readout.verdict import notes, progress_share, progress_words, recommendation
from runner.wire.compare import ComparePlanned, CompareProgress, Estimate, VariantMeasured
from tests.comparisons import NAMES, beginning, comparison, estimate, finished, middle, planned, scored

DONE = Course.of(comparison())


def course(*events: object) -> Course:
    now = Course()
    for event in events:
        now = now.after(event)  # type: ignore[arg-type]
    return now


@pytest.mark.parametrize(
    "value, error, shown",
    [
        (0.01076, 0.00042, Figure("0.0108", "0.0008")),
        (0.00136, 0.00005, Figure("0.00136", "0.00010")),
        (97.67, 0.41, Figure("97.7", "0.8")),
        (1234.5, 60.0, Figure("1234", "118")),
        (0.445, 0.0, Figure("0.445")),
    ],
)
def test_digits_follow_the_uncertainty(value: float, error: float, shown: Figure) -> None:
    assert figure(estimate(value, error)) == shown


def test_what_is_not_known_is_never_zero() -> None:
    assert figure(None) == figure(Estimate(reason="too few tokens")) == Figure("–")
    assert figure(Estimate(value=3.14159)) == Figure("3.14")
    # The longer half of an interval that is nearly even; both ends of one that is not: 85 ± 59 % is no share.
    assert figure(Estimate(value=0.5, error=0.01, low=0.45, high=0.54)) == Figure("0.50", "0.05")
    assert figure(Estimate(value=0.85, low=0.26, high=0.99), 100) == Figure("85 (26–99)")
    assert figure(Estimate(value=0.04, low=0.003, high=0.68), 100) == Figure("4 (0–68)")
    assert figure(Estimate(value=0.2, low=0.0, high=0.6)) == Figure("0.2 (0.0–0.6)")
    # A share that is none, or all: what it may be at most, or at least.
    assert figure(Estimate(value=0.0, low=0.0, high=0.0121), 100) == Figure("≤ 1.21")
    assert figure(Estimate(value=1.0, low=0.876, high=1.0), 100) == Figure("≥ 87.6")
    assert [amount(6, 16), amount(5_000_000, 20_000_000)] == ["6 of 16", "25 %"]
    assert [rounded(value) for value in (0, 0.0123, 4.578, 31.42, 1240.3)] == [
        "0",
        "0.0123",
        "4.58",
        "31.4",
        "1,240",
    ]
    assert [duration(s) for s in (45, 130, 3900)] == ["45 s", "2 min 10 s", "1 h 5 min"]


def test_a_course_is_what_its_events_add_up_to() -> None:
    now = course(*beginning())
    assert [row.name for row in now.ranked][:3] == ["F16", "Q8_0", "Q6_K"]
    assert (now.choice, now.front, now.comparison) == (None, frozenset(), None)
    assert progress_words(now) == "scoring · 4 of 16 · about 1 min 35 s left" and progress_share(now) == 0.25
    partly = course(beginning()[0], VariantMeasured(variant=scored("Q2_K")))
    assert [row.name for row in partly.ranked][:3] == ["F16", "Q2_K", "Q8_0"], "unknown is last"
    later = course(*beginning(), *middle())
    # By KL divergence, not by size; the letters go by size and stay.
    assert [row.name for row in later.ranked][-3:] == ["IQ4_XS", "Q4_K_S", "Q2_K"]
    assert now.letters == later.letters == dict(zip(NAMES, "ABCDEFGH", strict=True))
    assert later.tie_of("Q4_K_S") == ("IQ4_XS", "Q4_K_S") and later.tie_of("Q2_K") == ()
    assert course(*finished()).comparison == comparison()


def test_intervals_shrink_while_chunks_arrive() -> None:
    widths = [half for chunks in (1, 4, 16) for half in [float(_kld_error(chunks))]]
    assert all(before > after for before, after in pairwise(widths))


def _kld_error(chunks: int) -> str:
    quality = scored("Q5_K_M", chunks).quality
    assert quality is not None
    return figure(quality.kld_mean).error


def test_the_table_keeps_what_matters_when_it_gets_narrow() -> None:
    heads = {width: plain(table(DONE, width)[0]).split() for width in (48, 80, 120, 200)}
    assert heads[48] == ["FILE", "SIZE", "MEMORY", "KL", "DIVERGENCE"]
    assert heads[80] == ["FILE", "SIZE", "MEMORY", "KL", "DIVERGENCE", "SAME", "TOP", "DECODE"]
    assert {"PREFILL", "QUALITY"} <= set(heads[120]) and {"TTFT", "LOAD", "PERPLEXITY"} <= set(heads[200])
    # Nothing could be read from the sensor: a column that will stay empty is left out at the end only.
    assert "ENERGY" not in heads[200]
    assert "ENERGY" in plain(table(course(*beginning(), *middle()), 200)[0])


def test_ties_are_joined_also_where_they_overlap() -> None:
    ties = [["Q6_K", "Q5_K_M", "Q4_K_M"], ["Q4_K_M", "IQ4_XS"], ["Q2_K"]]
    done = comparison().model_copy(update={"ties": ties})
    rows = [plain(line)[2:6] for line in table(Course.of(done), 80)[2:]]
    assert rows == ["   A", "   B", "╭  C", "│  D", "╰╭ E", " ╰ G", "   F", "   H"]


def test_marks_are_letters_and_signs_beside_colours() -> None:
    rows = {plain(line)[0]: line for line in table(DONE, 80)[2:]}
    assert plain(rows["★"]).startswith("★   D Q5_K_M") and rows["★"][0].role == "choice"
    assert plain(rows["P"]).startswith("P   H Q2_K") and rows["P"][0].role == "front"
    broken = planned("Q2_K").model_copy(update={"problems": ["implausible: worse than Q3_K_M"]})
    now = course(ComparePlanned(variants=[planned("F16"), broken], reference="F16"))
    assert plain(table(now, 80)[-1]).startswith("!   B Q2_K") and "–" in plain(table(now, 80)[-1])
    assert "! Q2_K: implausible: worse than Q3_K_M" in [plain(line) for line in notes(now)]
    also = planned("Q8_0").model_copy(update={"problems": broken.problems})
    both = notes(now.after(VariantMeasured(variant=also)))
    assert "! Q2_K, Q8_0: implausible: worse than Q3_K_M" in [plain(line) for line in both]
    other = also.model_copy(update={"problems": ["implausible: worse than Q2_K"]})
    each = notes(now.after(VariantMeasured(variant=other)))
    assert "! implausible: Q2_K worse than Q3_K_M; Q8_0 worse than Q2_K" in [plain(line) for line in each]


def test_the_plot_has_every_variant_where_it_belongs() -> None:
    lines = [plain(line) for line in plot(DONE, 76, 18)]
    assert len(lines) == 18
    named = [f"{letter} {name}" for name, letter in DONE.letters.items() if name != "IQ4_XS"]
    where = {place[0]: _find(place, lines) for place in [*named, "G"]}
    # By memory from left to right; by KL divergence from top to bottom, the reference on the last line.
    assert sorted(where, key=lambda letter: where[letter][1]) == list("HGFEDCBA")
    assert sorted(set("HEDCBA"), key=lambda letter: where[letter][0]) == list("HEDCBA")
    assert where["A"][0] == len(lines) - 3
    assert "fits ◂╎" in lines[1] and lines[-1].endswith("memory, GB →")
    assert plot(course(*beginning()[:1]), 76, 18) == [], "nothing is measured yet"
    assert plot(DONE, 76, 7) == plot(DONE, 20, 18) == [], "no room"


def _find(words: str, lines: list[str]) -> tuple[int, int]:
    return next((row, line.index(words)) for row, line in enumerate(lines) if words in line)


def test_sentences_say_what_why_and_how_sure() -> None:
    found = comparison().recommendation
    assert found is not None
    said = [plain(line) for line in recommendation(found)]
    assert said[0] == "★ Q5_K_M" and said[1] == found.reason
    assert said[3] == "runner-up Q6_K · the same choice in 84 % of resamplings · intent balanced"
    nothing = found.model_copy(update={"choice": None, "runner_up": None, "confidence": None})
    assert plain(recommendation(nothing)[0]) == "Nothing to recommend"
    assert "Left out F16: it needs 16.9 GB, and 12.0 GB are free" in [plain(line) for line in notes(DONE)]


_POSITIVE = st.floats(1e-12, 1e6)
_HOSTILE = st.text(alphabet="aQ4\x1b[]\r\n\u202e\x07é字", max_size=60)


@settings(max_examples=60)
@given(
    klds=st.lists(st.tuples(_POSITIVE, st.floats(0, 10), st.integers(1, 10**13)), min_size=1, max_size=60),
    words=_HOSTILE,
    width=st.integers(60, 200),
    height=st.integers(0, 40),
)
@example(klds=[(666_667.0, 0.0, 1), (903_603.0, 0.0, 14_895_217_647)], words="4444444", width=60, height=8)
def test_whatever_was_measured_fits_and_is_clean(
    klds: list[tuple[float, float, int]], words: str, width: int, height: int
) -> None:
    plan = ComparePlanned(variants=[planned("F16")], reference="F16", notes=[words])
    events: list[object] = [plan, CompareProgress(phase=words, detail=words)]
    for number, (kld, error, size_bytes) in enumerate(klds):
        row = scored("Q2_K")
        assert row.quality is not None
        row.quality.kld_mean = estimate(kld, error)
        update = {"name": f"{number}{words}", "size_bytes": size_bytes, "memory": None, "problems": [words]}
        events.append(VariantMeasured(variant=row.model_copy(update=update)))
    now = course(*events)
    drawn = plot(now, width, height)
    assert len(drawn) in (0, height)
    for line in [*table(now, width), *drawn]:
        assert len(plain(line)) <= width
    everything = "".join(map(plain, [*table(now, width), *drawn, *notes(now)])) + progress_words(now)
    assert not set(everything) & set("\x1b\r\n\u202e\x07")


def test_ticks_say_what_they_are_at() -> None:
    assert list(Axis(240, 410, 60).ticks(4).values()) == ["250", "300", "350", "400"]
    assert list(Axis(0.0, 1.0, 60).ticks(2).values()) == ["0", "0.5", "1"]


@given(st.tuples(_POSITIVE, _POSITIVE).filter(lambda ends: ends[1] > ends[0] * 1.01), st.integers(2, 100))
def test_ticks_are_inside_and_in_order(ends: tuple[float, float], cells: int) -> None:
    for is_log in (False, True):
        ticks = Axis(*ends, cells, is_log).ticks(6)
        assert all(0 <= cell < cells for cell in ticks) and len(ticks) <= 7
