"""How one variant reads in detail."""

from __future__ import annotations

import pytest

from runner.readout.course import Course
from runner.readout.detail import answer, answers_summary, fork_head, kinds
from runner.readout.plot import MEASURES, Measure, plot
from runner.readout.span import plain
from runner.wire.compare import Fork
from tests.comparisons import NAMES, complete, example, scored


def test_kinds_of_text_come_worst_first() -> None:
    variant = complete("Q2_K")
    heads, units, *rows = [plain(line) for line in kinds(variant)]
    assert "KIND OF TEXT" in heads and "nats" in units
    found = [variant.domains[row.lstrip("! ").split("  ")[0]].kld_mean.value or 0.0 for row in rows]
    assert len(rows) == len(variant.domains) > 1 and found == sorted(found, reverse=True)
    assert [row.startswith("!") for row in rows] == sorted(
        (row.startswith("!") for row in rows), reverse=True
    )
    assert kinds(scored("Q2_K")) == []


def test_answers_say_where_they_part() -> None:
    answers = complete("Q2_K").answers
    assert answers is not None
    tie, wrong = answers.forks
    assert plain(fork_head(tie, "1 of 2")[0]).startswith(
        "1 of 2 · prose · parts after 9 tokens: a harmless tie"
    )
    assert "a real change, the reference's lead was 1.90 nats" in plain(fork_head(wrong, "2 of 2")[0])
    name, text, _, ranked = [plain(line) for line in answer(wrong, "Q2_K", is_reference=False)]
    assert (name, text, ranked) == ("Q2_K", "17 · 24 = 418.", "ranked  “418” 61 %  “408” 41 %")
    assert "for 32 tokens" in plain(answers_summary(answers)[0])


def test_answers_that_are_the_same_and_hostile_ones() -> None:
    fork = Fork(prompt="\x1b[2Jhi", domain="a\nb", shared_text="x\ny\x1b[31m", reference_text="x\ny\x1b[31m!")
    assert [plain(line) for line in fork_head(fork, "1 of 1")] == ["1 of 1 · a b · the same to the end", "hi"]
    assert [plain(line) for line in answer(fork, "F16", is_reference=True)] == ["F16", "x", "y!"]


@pytest.mark.parametrize("measure", MEASURES)
def test_kl_divergence_is_drawn_against_each_measure(measure: Measure) -> None:
    lines = [plain(line) for line in plot(Course.of(example()), 76, 18, measure)]
    assert len(lines) == 18 and f"{measure}, " in lines[-1]
    assert all(name in "\n".join(lines) for name in ("F16", "Q2_K")) and len(NAMES) == 8
    left, right = ("F16", "Q2_K") if measure == "speed" else ("Q2_K", "F16")
    column = {name: next(line.index(name) for line in lines if name in line) for name in (left, right)}
    assert column[left] < column[right]
