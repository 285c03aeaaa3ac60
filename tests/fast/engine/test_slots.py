from runner.worker.sequence import Sequence
from runner.worker.slots import Slot, choose, common_prefix


def busy(index: int) -> Slot:
    slot = Slot(index)
    slot.sequence = Sequence.__new__(Sequence)
    return slot


def test_no_slot_when_all_are_busy() -> None:
    assert choose([busy(0), busy(1)], [1, 2, 3]) is None


def test_the_lowest_empty_slot_comes_first() -> None:
    slot, shared = choose([busy(0), Slot(1), Slot(2)], [1, 2, 3]) or (None, None)
    assert (slot and slot.index, shared) == (1, 0)


def test_the_longest_prefix_wins_over_a_lower_slot() -> None:
    slots = [Slot(0, [1, 9, 9]), Slot(1), Slot(2, [1, 2, 3])]
    slot, shared = choose(slots, [1, 2, 3, 4]) or (None, None)
    assert (slot and slot.index, shared) == (2, 3)


def test_a_short_common_start_does_not_take_anothers_cache_while_a_slot_is_empty() -> None:
    slots = [Slot(0, [1, 2, 9, 9, 9, 9]), Slot(1)]
    slot, shared = choose(slots, [1, 2, 3, 4]) or (None, None)
    assert (slot and slot.index, shared) == (1, 0)


def test_the_last_prompt_token_is_always_decoded_again() -> None:
    slot, shared = choose([Slot(0, [1, 2, 3, 4])], [1, 2, 3]) or (None, None)
    assert (slot and slot.index, shared) == (0, 2)


def test_common_prefix() -> None:
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1, 2], [1, 2, 3]) == 2
