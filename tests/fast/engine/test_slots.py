from array import array

import pytest

from runner.worker.sequence import Sequence
from runner.worker.slots import Slot, cheapest, loss


def slot(index: int, tokens: int, used: int = 0) -> Slot:
    return Slot(index, array("i", range(tokens)), used=used)


def busy(index: int) -> Slot:
    return Slot(index, sequence=Sequence.__new__(Sequence))


def test_no_slot_when_all_are_busy() -> None:
    with pytest.raises(ValueError):
        cheapest([busy(0), busy(1)])


def test_the_lowest_slot_with_nothing_to_lose_comes_first() -> None:
    assert cheapest([busy(0), slot(1, 500, 1), slot(2, 10, 2), slot(3, 0)]).index == 2


def test_of_slots_that_lose_something_the_least_recently_used_goes() -> None:
    assert cheapest([slot(0, 500, 7), slot(1, 900, 3), slot(2, 70, 5)]).index == 1


@pytest.mark.parametrize(
    ("tokens", "kept", "lost"),
    [(63, 0, 0), (64, 0, 64), (1000, 900, 0), (1000, 800, 200), (1000, 950, 0), (5000, 0, 5000)],
)
def test_a_loss_counts_if_it_is_worth_copying_the_whole(tokens: int, kept: int, lost: int) -> None:
    assert loss(slot(0, tokens), kept) == lost
