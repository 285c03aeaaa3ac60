from hypothesis import given
from hypothesis import strategies as st

from runner.worker.batcher import Pending, plan


@st.composite
def pendings(draw: st.DrawFn) -> list[Pending]:
    slots = sorted(draw(st.lists(st.integers(0, 31), unique=True, max_size=16)))
    prompts = draw(st.lists(st.integers(-17, 5000), min_size=len(slots), max_size=len(slots)))
    return [Pending(slot, max(1, abs(n)), n > 0) for slot, n in zip(slots, prompts, strict=True)]


@given(pendings(), st.integers(32, 2048), st.integers(1, 512))
def test_a_plan_keeps_order_and_budget(pending: list[Pending], batch: int, chunk: int) -> None:
    chunks = plan(pending, batch, chunk)
    by_slot = {p.slot: p for p in pending}
    generating = {p.slot for p in pending if not p.is_prefilling}

    assert [slot for slot, _ in chunks] == sorted({slot for slot, _ in chunks})
    assert generating <= {slot for slot, _ in chunks}
    assert all(1 <= count <= by_slot[slot].tokens for slot, count in chunks)
    assert sum(count for _, count in chunks) <= batch
    if generating:
        assert sum(count for slot, count in chunks if by_slot[slot].is_prefilling) <= chunk


def test_a_prompt_alone_takes_the_whole_batch() -> None:
    assert plan([Pending(0, 3000, True)], 512, 128) == [(0, 512)]


def test_a_prompt_beside_a_stream_takes_one_chunk() -> None:
    assert plan([Pending(0, 1, False), Pending(1, 3000, True)], 512, 128) == [(0, 1), (1, 128)]


def test_guesses_behind_a_token_leave_room_for_the_other_streams() -> None:
    pending = [Pending(0, 17, False), Pending(1, 40, False), Pending(2, 1, False)]
    assert plan(pending, 32, 128) == [(0, 17), (1, 14), (2, 1)]


def test_prompts_share_evenly_and_pass_on_what_they_leave() -> None:
    pending = [Pending(0, 4000, True), Pending(1, 10, True), Pending(2, 4000, True)]
    assert plan(pending, 512, 128) == [(0, 251), (1, 10), (2, 251)]
