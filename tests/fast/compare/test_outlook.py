"""What is left of a comparison, in seconds, as soon as there is ground for it."""

from __future__ import annotations

from runner.compare.outlook import Outlook, Work
from runner.compare.speed_plan import QUICK


def test_nothing_is_said_without_ground() -> None:
    outlook = Outlook()
    now: Work = Work({"reading": 1000, "sampling": 0})
    assert outlook.remaining_s(now) is None, "what follows is not known"
    outlook.later = Work({"answering": 50})
    outlook.took("reading", 100, 2.0)
    assert outlook.remaining_s(now) is None, "nothing was answered yet"
    outlook.took("answering", 10, 1.0)
    assert outlook.remaining_s(now) == 1000 * 0.02 + 50 * 0.1
    outlook.took("reading", 100, 4.0)
    assert outlook.remaining_s(Work({"reading": 10})) == 10 * 0.03 + 5.0


def test_speed_takes_longer_behind_many_tokens() -> None:
    shallow = QUICK.within(256)
    assert shallow.work["reading"] < QUICK.work["reading"]
    assert QUICK.work["answering"] >= QUICK.repetitions * QUICK.generate_tokens * len(QUICK.depths)
