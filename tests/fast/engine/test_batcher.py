from hypothesis import given
from hypothesis import strategies as st

from runner.worker.batcher import Batcher, Pending


@st.composite
def pendings(draw: st.DrawFn) -> list[Pending]:
    slots = sorted(draw(st.lists(st.integers(0, 31), unique=True, min_size=1, max_size=16)))
    tokens = draw(st.lists(st.integers(1, 600), min_size=len(slots), max_size=len(slots)))
    return [Pending(*pair) for pair in zip(slots, tokens, strict=True)]


@given(st.lists(pendings(), min_size=1, max_size=4), st.integers(32, 2048), st.integers(1, 512))
def test_a_plan_keeps_order_and_budget(steps: list[list[Pending]], batch: int, chunk: int) -> None:
    batcher = Batcher(batch, 64)
    for pending in steps:
        by_slot = {p.slot: p for p in pending}
        for chunks, most in (
            (batcher.generation(pending), batch),
            # With the rest of a prompt, which is less than a tile.
            (batcher.reading(pending, chunk), min(batch, chunk + 63)),
            (batcher.reading(pending, None), batch),
        ):
            assert [slot for slot, _ in chunks] == sorted({slot for slot, _ in chunks})
            assert all(1 <= count <= by_slot[slot].tokens for slot, count in chunks)
            assert 1 <= sum(count for _, count in chunks) <= most
        assert [slot for slot, _ in batcher.generation(pending)] == [p.slot for p in pending]


def test_streams_and_prompts_take_turns() -> None:
    batcher = Batcher(512, 64)
    assert [batcher.reads_next(2, 0) for _ in range(3)] == [False, False, False]
    # A prompt that comes while others generate is next, and one that is alone need not wait.
    assert [batcher.reads_next(2, 1) for _ in range(4)] == [True, False, True, False]
    assert [batcher.reads_next(0, 3) for _ in range(3)] == [True, True, True]
    assert [batcher.reads_next(1, 3) for _ in range(3)] == [False, True, False]


def test_a_prompt_alone_takes_the_whole_batch() -> None:
    assert Batcher(512, 64).reading([Pending(0, 3000)], None) == [(0, 512)]


def test_a_prompt_beside_a_stream_takes_one_chunk() -> None:
    assert Batcher(512, 64).reading([Pending(1, 3000)], 128) == [(1, 128)]


def test_guesses_behind_a_token_leave_room_for_the_other_streams() -> None:
    pending = [Pending(0, 17), Pending(1, 40), Pending(2, 1)]
    assert Batcher(32, 64).generation(pending) == [(0, 17), (1, 14), (2, 1)]


def test_a_short_prompt_passes_on_what_it_leaves() -> None:
    pending = [Pending(0, 40), Pending(1, 40), Pending(2, 4000)]
    assert Batcher(512, 64).reading(pending, None) == [(0, 40), (1, 40), (2, 432)]


def test_no_part_of_a_prompt_is_smaller_than_a_tile() -> None:
    pending = [Pending(1, 30), Pending(2, 4000), Pending(3, 20)]
    assert Batcher(512, 64).reading(pending, 64) == [(1, 30), (3, 20)]


def test_the_last_part_of_a_prompt_is_no_smaller_than_a_tile_either() -> None:
    batcher = Batcher(512, 64)
    assert batcher.reading([Pending(0, 522)], None) == [(0, 458)]
    assert batcher.reading([Pending(0, 576)], None) == [(0, 512)]
    assert batcher.reading([Pending(1, 140)], 128) == [(1, 76)]
    assert batcher.reading([Pending(1, 100)], 64) == [(1, 100)]
    assert Batcher(96, 64).reading([Pending(1, 100)], 64) == [(1, 64)]
    assert Batcher(128, 64).reading([Pending(0, 64), Pending(1, 100)], None) == [(0, 64), (1, 64)]


def test_prompts_take_turns_whatever_they_leave_to_each_other() -> None:
    batcher, due, order = Batcher(512, 64), {1: 1000, 2: 340, 3: 1000}, []
    while all(due.values()):
        for slot, count in batcher.reading([Pending(*pair) for pair in due.items()], 128):
            order.append(slot)
            due[slot] -= count
    assert order == [1, 2, 3, 1, 2, 3, 1, 2]
    assert due == {1: 1000 - 3 * 128, 2: 0, 3: 1000 - 2 * 128}
    assert batcher.reading([Pending(1, 9), Pending(3, 500)], 64)[0] == (3, 64)
