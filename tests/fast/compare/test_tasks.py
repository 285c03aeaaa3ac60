"""Answers that are known to be right or wrong, and answers that never end."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from math import comb

import pytest

from runner.compare.answering import with_speed_ups
from runner.compare.exercises import exercises, first_object, last_number, mark, marked
from runner.compare.export import render
from runner.compare.export.tables import task_table
from runner.compare.forks import goes_in_circles
from runner.compare.recommend import recommend
from runner.compare.survival import discordant, p_value
from runner.readout.course import Course
from runner.readout.span import plain
from runner.readout.table import table
from runner.wire.compare import ALL_TASKS, Answers, Comparison, Estimate, Fork, VariantResult
from tests.comparisons import example
from tests.fast.compare.fixtures import Row, variant, wish

UNKNOWN = Estimate(reason="not part of this test")
SOLVED: dict[str, Callable[..., float]] = {
    r"What is (\d+) \+ (\d+)\?": lambda a, b: a + b,
    r"What is (\d+) times (\d+)\?": lambda a, b: a * b,
    r"What is (\d+) % of (\d+)\?": lambda a, b: a * b / 100,
    r"Solve (\d+)x \+ (\d+) = (\d+) for x": lambda a, b, c: (c - b) / a,
    r"What remains when (\d+) is divided by (\d+)\?": lambda a, b: a % b,
    r"A carton holds (\d+) jars.* in (\d+) cartons": lambda a, b: a * b - 1,
    r"Mira is (\d+), her brother is (\d+) years younger": lambda a, b: a - b + 10,
    r"A train goes (\d+) km in (\d+) minutes.* in (\d+) minutes": lambda a, b, c: a / b * c,
}


def test_mcnemar_by_hand() -> None:
    assert p_value(0, 0) == p_value(3, 3) == 1.0
    assert p_value(6, 0) == 2 / 2**6
    assert p_value(1, 9) == p_value(9, 1) == 2 * (1 + 10) / 2**10
    assert p_value(400, 500) == pytest.approx(0.00096, rel=0.05)  # normal: z = 99 / 30
    assert sum(comb(10, k) for k in range(11) if p_value(k, 10 - k) < 0.05) / 2**10 < 0.05
    assert discordant([True, True, False, True], [True, False, True, False]) == (2, 1)


def test_exercises_are_always_the_same_and_no_two_alike() -> None:
    asked = exercises(120)
    assert len({each.prompt for each in asked}) == 120
    assert [each.prompt for each in asked[:30]] == [each.prompt for each in exercises(30)]
    assert {each.domain for each in asked[:3]} == {"math", "JSON", "tool call"}


def test_what_the_sums_say_is_true() -> None:
    """Worked out anew from the words of the question."""
    seen = set()
    for each in exercises(360)[::3]:
        known = _solution(each.prompt)
        assert each.marks(f"First think of 12. The answer is {known}.") == {"math": True}, each.prompt
        assert each.marks(f"{known}1") == each.marks("I do not know.") == {"math": False}
        seen.add(_pattern(each.prompt))
    assert seen == set(SOLVED)


def _pattern(question: str) -> str:
    return next(pattern for pattern in SOLVED if re.match(pattern, question))


def _solution(question: str) -> str:
    found = re.match(pattern := _pattern(question), question)
    assert found is not None
    return f"{SOLVED[pattern](*map(int, found.groups())):g}"


@pytest.mark.parametrize(
    ("answer", "number"), [("1,200 km", 1200), ("x = -3.50.", -3.5), ("٣ and 7", 7), ("3, 4", 4), ("", None)]
)
def test_the_last_number_counts(answer: str, number: float | None) -> None:
    assert last_number(answer) == number


def test_json_is_read_whatever_stands_around_it_and_never_more() -> None:
    assert first_object('Sure! ```json\n{"a": [1]}\n``` Done {') == {"a": [1]}
    deep = '{"a": ' + "[" * 100_000
    broken = ["{'a': 1}", '{"a": NaN}', '{"a": 1', '["a"]', '{"a": ' + "9" * 5000 + "}", deep, "{", ""]
    assert [first_object(each) for each in broken] == [None] * len(broken)


def test_an_answer_must_fit_the_schema_and_say_what_the_text_says() -> None:
    """What the text says behind the examples, that is."""
    exercise = next(each for each in exercises(60) if "years old" in each.prompt)
    *_, (name, age, city) = re.findall(
        r"Text: (\w+), who is (\d+) years old, lives in (\w+)", exercise.prompt
    )
    person = {"name": name, "age": int(age), "city": city}

    def marks(**other: object) -> list[bool]:
        return list(exercise.marks(json.dumps({**person, **other})).values())

    assert marks() == [True, True, True]
    assert marks(city="Nowhere") == [True, True, False]
    assert marks(age=age) == marks(more=1) == [True, False, False]
    assert list(exercise.marks("{name: Idris}").values()) == [False, False, False]


def test_a_call_must_name_the_tool_and_the_arguments() -> None:
    request = re.compile(r'User: Set a timer of (\d+) minutes with the label "(\w+)"\.\nCall:$')
    exercise, found = next((each, found) for each in exercises(60) if (found := request.search(each.prompt)))
    arguments = {"minutes": int(found[1]), "label": found[2]}

    def marks(name: str, arguments: object) -> list[bool]:
        return list(exercise.marks(json.dumps({"name": name, "arguments": arguments})).values())

    assert marks("set_timer", arguments) == [True, True, True]
    assert (
        marks("set_timer", {**arguments, "minutes": 1}) == marks("set_timer", "soon") == [True, True, False]
    )
    assert marks("set_alarm", arguments) == [True, False, False]


def test_tasks_are_paired_with_the_reference() -> None:
    asked = exercises(30)[::3]
    wrong, right = ["none"] * 10, [_solution(each.prompt) for each in asked]
    score = mark(asked, right, wrong[:7] + right[7:])[ALL_TASKS]
    assert (score.right.value, score.reference_right.value) == (0.3, 1.0)
    assert (score.lost, score.gained, score.p_value) == (7, 0, 2 / 2**7)
    assert score.outcomes == [False] * 7 + [True] * 3
    assert mark([], [], []) == {}


def test_of_all_answers_those_to_exercises_are_marked() -> None:
    first, *_ = exercises(1)
    forks = [
        Fork(prompt="Tell me a story.", domain="prose", reference_text="Once", candidate_text="Once"),
        Fork(prompt=first.prompt, domain="math", reference_text="", candidate_text=_solution(first.prompt)),
    ]
    tasks = marked(forks)
    assert tasks.keys() == {ALL_TASKS, "math"}
    assert (tasks["math"].gained, tasks["math"].outcomes) == (1, [True])
    assert marked(forks[:1]) == {}


def test_circles_are_found_by_their_tokens() -> None:
    start = list(range(100, 140))
    assert goes_in_circles([*start, *[1, 2, 3] * 8])
    assert goes_in_circles([*start, *[7] * 24])
    assert goes_in_circles(list(range(20)) * 3)
    assert not goes_in_circles([*start, *[7] * 23])
    assert not goes_in_circles(list(range(20)) * 2)
    assert not goes_in_circles([*start, *[1, 2, 3] * 8, 0]), "it got out"
    assert not goes_in_circles([])


def test_a_faster_model_that_says_more_gains_less() -> None:
    """Twice the speed and a quarter more tokens: 1.6 times, with the errors of all three."""
    slow, fast = variant(Row("F16", 16, 0, 10.0)), variant(Row("Q4_0", 4, 0.1, 20.0))
    ratio = Estimate(value=1.25, error=0.05, low=1.15, high=1.35)
    no = dict.fromkeys(("median_fork", "median_firm_fork", "capped"), UNKNOWN)
    answers = Answers(prompts=40, token_ratio=ratio, **no)
    rows = [slow.model_copy(update={"is_reference": True}), fast.model_copy(update={"answers": answers})]
    found = dict(with_speed_ups(rows))
    assert found.keys() == {"Q4_0"}
    speed_up = found["Q4_0"].speed_up
    assert speed_up is not None
    assert speed_up.value == pytest.approx(1.6)
    assert speed_up.low is not None and speed_up.high is not None and speed_up.error is not None
    assert 1.47 < speed_up.low < 1.49 < 1.73 < speed_up.high < 1.75
    unsure = answers.model_copy(update={"token_ratio": UNKNOWN})
    rows[1] = rows[1].model_copy(update={"answers": unsure})
    speed_up = dict(with_speed_ups(rows))["Q4_0"].speed_up
    assert speed_up is not None and speed_up.value is None and speed_up.reason == UNKNOWN.reason


def test_tasks_decide_beside_bits_per_byte_across_vocabularies() -> None:
    """8B at 3 bits or 4B at 8, about the same memory: tasks decide where bits per byte cannot; where both are
    sure and contradict each other, the smaller one is as good."""

    def picked(bits_8b: float, right_8b: int, right_4b: int) -> str | None:
        rows = [
            _with_tasks(Row("8B Q3_K_M", 3.9, 0, 11.0, bits_per_byte=bits_8b), right_8b),
            _with_tasks(Row("4B Q8_0", 3.8, 0, 11.0, bits_per_byte=0.80), right_4b),
        ]
        found, _ = recommend(rows, [], wish("balanced", 8), resamples=5)
        assert "bits per byte and tasks decide" in found.reason
        assert "of 40 tasks right" in found.reason
        return found.choice

    assert picked(0.80, 36, 20) == "8B Q3_K_M"
    assert picked(0.80, 22, 20) == "4B Q8_0"
    assert picked(0.76, 20, 20) == "8B Q3_K_M"
    assert picked(0.76, 10, 38) == "4B Q8_0"


def _with_tasks(row: Row, right: int) -> VariantResult:
    """40 of them, the easiest of which are right."""
    asked = [each for each in exercises(120) if each.domain == "math"]
    solutions = [_solution(each.prompt) for each in asked]
    answers = [*solutions[:right], *["none"] * (len(asked) - right)]
    return variant(row).model_copy(update={"tasks": mark(asked, solutions, answers)})


def test_tasks_are_shown_where_they_say_something() -> None:
    """Of 40 the reference has all right: 36 tell (p = 0.125: no), 30 do (p = 0.002)."""
    for right, shown in ((36, False), (30, True)):
        rows = [_with_tasks(Row("F16", 16, 0, 5.0), 40), _with_tasks(Row("Q2_K", 3, 0.4, 18.0), right)]
        comparison = example().model_copy(update={"variants": rows, "reference": "F16"})
        text = "\n".join(plain(line) for line in table(Course.of(comparison), 300))
        assert ("TASKS" in text) == shown
        html = str(task_table(comparison))
        assert f"{right} of 40<small> −{40 - right} +0, p = {p_value(40 - right, 0):.2g}</small>" in html
        sheet = csv.DictReader(render(comparison, "csv").splitlines())
        assert [row["tasks_right"] for row in sheet] == ["1.0", f"{right / 40}"]
    assert task_table(example()) is None


def test_evidence_of_before_is_still_readable() -> None:
    """Results that know nothing of tasks, circles or speed-ups."""
    kept = example().model_dump(mode="json")
    for row in kept["variants"]:
        del row["tasks"]
        if row["answers"]:
            del row["answers"]["looped"]
        del row["speed"]["speed_up"]
    assert Comparison.model_validate(kept) == example()
