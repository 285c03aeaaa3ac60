"""Thread counts from made-up readings of a machine: the governor reads no clock."""

from __future__ import annotations

import pytest

from native.load import Governor, Sample


def follow(governor: Governor, moments: list[tuple[float, float]]) -> list[int]:
    """Thread counts after seconds in which (others, ourselves) kept so many cores busy."""
    at_s = busy_s = own_s = 0.0
    governor.observe(Sample(at_s, busy_s, own_s))
    counts = []
    for others, own in moments:
        at_s, busy_s, own_s = at_s + 1, busy_s + others + own, own_s + own
        counts.append(governor.observe(Sample(at_s, busy_s, own_s)))
    return counts


def test_a_free_machine_keeps_all_threads() -> None:
    assert follow(Governor(2, 2), [(0.05, 1.95)] * 3) == [2, 2, 2]


def test_one_busy_neighbour_takes_one_core() -> None:
    assert follow(Governor(2, 2), [(0.7, 1.3), (1.0, 1.0), (1.0, 1.0)]) == [2, 1, 1]


def test_a_program_that_starts_and_ends_changes_nothing() -> None:
    assert follow(Governor(2, 2), [(1.0, 1.0), (0.0, 2.0), (1.0, 1.0), (0.0, 2.0)]) == [2, 2, 2, 2]


def test_threads_come_back_when_the_machine_was_free_twice() -> None:
    busy, free = (1.0, 1.0), (0.0, 1.0)
    assert follow(Governor(2, 2), [busy, busy, free, free]) == [2, 1, 1, 2]


def test_a_short_pause_of_the_neighbour_changes_nothing() -> None:
    busy, pause = (1.0, 1.0), (0.0, 1.0)
    assert follow(Governor(2, 2), [busy, busy, pause, busy, pause, busy]) == [2, 1, 1, 1, 1, 1]


def test_a_neighbour_that_does_little_is_let_be() -> None:
    assert follow(Governor(2, 2), [(0.2, 1.8)] * 3) == [2, 2, 2]


@pytest.mark.parametrize(("others", "threads"), [(0.0, 6), (1.0, 6), (2.0, 6), (3.0, 5), (5.4, 2), (9.0, 1)])
def test_free_processors_count_and_one_thread_always_stays(others: float, threads: int) -> None:
    assert follow(Governor(6, 8), [(others, 1.0)] * 2)[-1] == threads


def test_what_happened_while_the_model_rested_decides_nothing() -> None:
    governor = Governor(2, 2)
    governor.observe(Sample(0.0, 0.0, 0.0))
    assert governor.observe(Sample(60.0, 100.0, 0.0)) == 2
    assert governor.observe(Sample(60.5, 100.6, 0.1)) == 2
    assert governor.observe(Sample(61.0, 101.2, 0.2)) == 1


def test_steps_of_many_seconds_decide_if_there_was_no_rest_between() -> None:
    governor = Governor(2, 2)
    for number in range(2):
        governor.observe(Sample(20.0 * number, 40.0 * number, 20.0 * number), may_have_rested=False)
    assert governor.observe(Sample(40.0, 80.0, 40.0), may_have_rested=False) == 1


def test_readings_of_the_same_moment_decide_nothing() -> None:
    governor = Governor(2, 2)
    governor.observe(Sample(1.0, 5.0, 1.0))
    assert governor.observe(Sample(1.0, 9.0, 1.0)) == 2
