"""Thread counts from made-up readings of a machine: the governor reads no clock."""

from __future__ import annotations

from itertools import accumulate

import pytest

from native.load import Governor, Sample


def follow(governor: Governor, others: list[float]) -> list[int]:
    """Thread counts after seconds in which others kept so many cores busy, while the process computed."""
    governor.observe(Sample(0.0, 0.0))
    sums = accumulate(others)
    return [governor.observe(Sample(at_s, others_s)) for at_s, others_s in enumerate(sums, 1)]


def test_a_free_machine_keeps_all_threads() -> None:
    assert follow(Governor(2, 2), [0.05] * 3) == [2, 2, 2]


def test_one_busy_neighbour_takes_one_core() -> None:
    assert follow(Governor(2, 2), [0.7, 1.0, 1.0]) == [2, 1, 1]


def test_a_program_that_starts_and_ends_changes_nothing() -> None:
    assert follow(Governor(2, 2), [1.0, 0.0, 1.0, 0.0]) == [2, 2, 2, 2]


def test_threads_come_back_when_the_machine_was_free_twice() -> None:
    assert follow(Governor(2, 2), [1.0, 1.0, 0.0, 0.0]) == [2, 1, 1, 2]


def test_a_short_pause_of_the_neighbour_changes_nothing() -> None:
    assert follow(Governor(2, 2), [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]) == [2, 1, 1, 1, 1, 1]


def test_room_to_measure_is_most_of_the_threads_there_can_be() -> None:
    cases = [(8, 8, 2.0, True), (8, 8, 3.0, False), (2, 2, 1.0, False), (9, 2, 0.0, True)]
    for most, processors, others, has_room in cases:
        governor = Governor(most, processors)
        follow(governor, [others] * 2)
        assert governor.has_room is has_room


def test_whether_there_is_room_is_not_known_before_the_second_look() -> None:
    governor = Governor(2, 2)
    assert not governor.has_room
    follow(governor, [0.0])
    assert not governor.has_room


def test_a_neighbour_that_does_little_is_let_be() -> None:
    assert follow(Governor(2, 2), [0.2] * 3) == [2, 2, 2]


@pytest.mark.parametrize(("others", "threads"), [(0.0, 6), (1.0, 6), (2.0, 6), (3.0, 5), (5.4, 2), (9.0, 1)])
def test_free_processors_count_and_one_thread_always_stays(others: float, threads: int) -> None:
    assert follow(Governor(6, 8), [others] * 2)[-1] == threads


def test_what_others_do_while_the_process_rests_decides_nothing() -> None:
    governor = Governor(2, 2)
    at_s = others_s = 0.0
    for _ in range(20):
        governor.observe(Sample(at_s, others_s))
        at_s += 0.1
        assert governor.observe(Sample(at_s, others_s), goes_on=False) == 2
        # The client draws what it got.
        at_s, others_s = at_s + 0.1, others_s + 0.1


def test_short_requests_decide_together() -> None:
    governor = Governor(2, 2)
    counts = []
    for number in range(6):
        governor.observe(Sample(number * 0.2, number * 0.2))
        counts.append(governor.observe(Sample(number * 0.2 + 0.1, number * 0.2 + 0.1), goes_on=False))
    assert counts == [2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize(("rest_s", "threads"), [(0.5, 1), (2.0, 2)])
def test_what_was_seen_before_a_long_rest_is_forgotten(rest_s: float, threads: int) -> None:
    governor = Governor(2, 2)
    governor.observe(Sample(0.0, 0.0))
    assert governor.observe(Sample(0.3, 0.3), goes_on=False) == 2
    governor.observe(Sample(0.3 + rest_s, 0.3))
    assert governor.observe(Sample(0.6 + rest_s, 0.6)) == threads


def test_steps_of_many_seconds_decide() -> None:
    governor = Governor(2, 2)
    assert [governor.observe(Sample(20.0 * number, 20.0 * number)) for number in range(3)] == [2, 2, 1]


def test_readings_of_the_same_moment_decide_nothing() -> None:
    governor = Governor(2, 2)
    governor.observe(Sample(1.0, 4.0))
    assert governor.observe(Sample(1.0, 8.0)) == 2
