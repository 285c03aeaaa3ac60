from hypothesis import given
from hypothesis import strategies as st

from runner.worker.batcher import Batcher, Pending


@st.composite
def pendings(draw: st.DrawFn) -> list[Pending]:
    slots = sorted(draw(st.lists(st.integers(0, 31), unique=True, max_size=16)))
    prompts = draw(st.lists(st.integers(-17, 5000), min_size=len(slots), max_size=len(slots)))
    return [Pending(slot, max(1, abs(n)), n > 0) for slot, n in zip(slots, prompts, strict=True)]


@given(st.lists(pendings(), min_size=1, max_size=4), st.integers(32, 2048), st.integers(1, 512))
def test_a_plan_keeps_order_and_budget(steps: list[list[Pending]], batch: int, chunk: int) -> None:
    batcher = Batcher(batch, 64)
    for pending in steps:
        chunks = batcher.plan(pending, chunk)
        by_slot = {p.slot: p for p in pending}
        generating = {p.slot for p in pending if not p.is_prefilling}
        read = sum(count for slot, count in chunks if by_slot[slot].is_prefilling)

        assert [slot for slot, _ in chunks] == sorted({slot for slot, _ in chunks})
        assert generating <= {slot for slot, _ in chunks}
        assert all(1 <= count <= by_slot[slot].tokens for slot, count in chunks)
        assert sum(count for _, count in chunks) <= batch
        if generating:
            assert read <= chunk
        if len(generating) < len(pending) and sum(by_slot[slot].tokens for slot in generating) < batch:
            assert read


def test_a_prompt_alone_takes_the_whole_batch() -> None:
    assert Batcher(512, 64).plan([Pending(0, 3000, True)], 128) == [(0, 512)]


def test_a_prompt_beside_a_stream_takes_one_chunk() -> None:
    assert Batcher(512, 64).plan([Pending(0, 1, False), Pending(1, 3000, True)], 128) == [(0, 1), (1, 128)]


def test_guesses_behind_a_token_leave_room_for_the_other_streams() -> None:
    pending = [Pending(0, 17, False), Pending(1, 40, False), Pending(2, 1, False)]
    assert Batcher(32, 64).plan(pending, 128) == [(0, 17), (1, 14), (2, 1)]


def test_a_short_prompt_passes_on_what_it_leaves() -> None:
    pending = [Pending(0, 40, True), Pending(1, 40, True), Pending(2, 4000, True)]
    assert Batcher(512, 64).plan(pending, 128) == [(0, 40), (1, 40), (2, 432)]


def test_no_part_of_a_prompt_is_smaller_than_a_tile() -> None:
    pending = [Pending(0, 1, False), Pending(1, 30, True), Pending(2, 4000, True), Pending(3, 20, True)]
    assert Batcher(512, 64).plan(pending, 65) == [(0, 1), (1, 30), (3, 20)]


def test_the_last_part_of_a_prompt_is_no_smaller_than_a_tile_either() -> None:
    alone, beside = Batcher(512, 64), Batcher(512, 64)
    assert alone.plan([Pending(0, 522, True)], 65) == [(0, 457)]
    assert alone.plan([Pending(0, 577, True)], 65) == [(0, 512)]
    stream = Pending(0, 1, False)
    assert beside.plan([stream, Pending(1, 140, True)], 129) == [(0, 1), (1, 75)]
    assert beside.plan([stream, Pending(1, 100, True)], 65) == [(0, 1), (1, 65)]


def test_prompts_take_turns_whatever_they_leave_to_each_other() -> None:
    batcher, due, order = Batcher(512, 64), {1: 1000, 2: 300, 3: 1000}, []
    while all(due.values()):
        pending = [Pending(0, 1, False), *(Pending(slot, tokens, True) for slot, tokens in due.items())]
        for slot, count in batcher.plan(pending, 129)[1:]:
            order.append(slot)
            due[slot] -= count
    assert order == [1, 2, 3, 1, 2, 3, 1, 2]
    assert due == {1: 1000 - 3 * 129, 2: 0, 3: 1000 - 2 * 129}
    assert batcher.plan([Pending(0, 1, False), Pending(1, 9, True), Pending(3, 500, True)], 65)[1] == (3, 65)
