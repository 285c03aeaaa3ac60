from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstore.gguf import read_header
from modelstore.kv_types import KvTypes
from runner.placement import (
    Cost,
    Demand,
    Machine,
    Placement,
    Refusal,
    Resident,
    Shortage,
    Wait,
    Wish,
    most_wasteful,
    place,
)
from tests.kinds_gguf import write_kind

GB = 10**9
ROOMY = Machine(ram_total_bytes=32 * GB, ram_available_bytes=30 * GB)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> Demand:
    with tiny_model.open("rb") as stream:
        return Demand(read_header(stream, tiny_model.stat().st_size))


def wanting(demand: Demand, wish: Wish) -> Demand:
    return replace(demand, wish=wish)


def need(demand: Demand) -> int:
    """Bytes of the smallest shape that the wish allows."""
    return demand.need(demand.wish.context_length or 1024, demand.wish.slots or 1).total_bytes


def machine_with(demand: Demand, models: float) -> Machine:
    """A machine with room for `models` copies of the smallest shape."""
    return with_usable(int(models * need(demand)))


def with_usable(size_bytes: int) -> Machine:
    return Machine(8 * GB, size_bytes - Machine(8 * GB, 0).ram_usable_bytes)


def test_auto_takes_the_trained_context_and_several_slots(tiny: Demand) -> None:
    placed = place(tiny, ROOMY, [])
    assert isinstance(placed, Placement)
    assert (placed.context_length, placed.slots, placed.gpu_layers) == (1024, 4, 0)
    assert placed.reason == "CPU: no GPU backend found"


def test_wishes_are_followed_within_what_the_model_was_trained_for(tiny: Demand) -> None:
    wish = Wish(context_length=512, slots=7, least_context_length=4000)
    placed = place(wanting(tiny, wish), ROOMY, [])
    assert isinstance(placed, Placement)
    assert (placed.context_length, placed.slots) == (1024, 7)


def test_memory_counts_the_draft_model_and_the_type_of_the_cache(tiny: Demand) -> None:
    plain, small = tiny.need(1024, 4), wanting(tiny, Wish(kv=KvTypes("q8_0", "q8_0"))).need(1024, 4)
    assert small.kv_bytes / plain.kv_bytes == 34 / 64 and small.weights_bytes == plain.weights_bytes
    assert replace(tiny, draft=tiny.header).need(1024, 4).total_bytes == 2 * plain.total_bytes
    both = replace(tiny, draft=tiny.header, wish=Wish(kv=KvTypes("q8_0", "q8_0")))
    assert both.need(1024, 4).kv_bytes == small.kv_bytes + plain.kv_bytes


def test_memory_counts_the_states_that_a_head_goes_back_to(tmp_path: Path) -> None:
    path = write_kind(tmp_path / "model.gguf", "hybrid with head")
    with path.open("rb") as file:
        demand = Demand(read_header(file, path.stat().st_size))
    one, four = (demand.need(length, 4).kv_bytes for length in (1024, 4096))
    states_bytes = one - (four - one) // 3
    assert replace(demand, rollback_tokens=3).need(1024, 4).kv_bytes == one + 3 * states_bytes


def test_what_an_earlier_load_took_counts_instead_of_the_arithmetic(tiny: Demand) -> None:
    tiny = wanting(tiny, Wish(slots=1))
    machine = machine_with(tiny, 1.2)
    assert isinstance(place(tiny, machine, []), Placement)
    dear = replace(tiny, cost=Cost(8192, 4, surplus_bytes=need(tiny), load_s=1.0))
    assert isinstance(place(dear, machine, []), Refusal)


def test_what_a_load_cost_less_than_foreseen_is_saved_by_that_shape_only(tiny: Demand) -> None:
    foreseen = tiny.need(2048, 4).total_bytes
    less = replace(tiny, cost=Cost(2048, 4, surplus_bytes=-(foreseen // 2), load_s=1.0))
    assert less.need(2048, 4).total_bytes == foreseen - foreseen // 2
    for shape in ((1024, 1), (2048, 1), (8192, 4)):
        assert less.need(*shape) == tiny.need(*shape)


def test_a_budget_limits_what_memory_would_allow(tiny: Demand) -> None:
    demand = wanting(tiny, Wish(slots=1))
    short = replace(ROOMY, budget_bytes=need(demand) - 1, gpu_names=("CUDA0",), gpu_available_bytes=8 * GB)
    refused = place(demand, short, [])
    assert isinstance(refused, Refusal) and "memory_budget is" in refused.reason
    # What is loaded could go, itself included for a larger context: it is the whole budget that is too small.
    budget_bytes = need(demand) // 2
    loaded = Resident("another", budget_bytes + 10**6, idle_s=1.0)
    refused = place(demand, replace(ROOMY, budget_bytes=-(10**6)), [loaded])
    assert isinstance(refused, Refusal) and refused.reason.endswith(f"{budget_bytes / 1e6:.0f} MB")
    assert isinstance(place(demand, replace(short, budget_bytes=need(demand)), []), Placement)


def test_everything_goes_to_a_gpu_that_has_room(tiny: Demand) -> None:
    machine = Machine(32 * GB, 30 * GB, ("CUDA0",), 8 * GB)
    placed = place(tiny, machine, [])
    assert isinstance(placed, Placement) and placed.gpu_layers == -1
    assert placed.reason.startswith("GPU (CUDA0)")


def test_an_idle_model_on_the_gpu_makes_room_there_and_a_busy_one_sends_the_next_to_the_cpu(
    tiny: Demand,
) -> None:
    machine = Machine(32 * GB, 30 * GB, ("CUDA0",), 0)
    there = Resident("there", GB, idle_s=1.0, is_on_gpu=True)
    placed = place(tiny, machine, [there])
    assert isinstance(placed, Placement) and placed.victims == ("there",) and placed.gpu_layers == -1
    assert place(tiny, machine, [replace(there, is_leaving=True)]) == Wait()
    busy = place(tiny, machine, [replace(there, idle_s=None)])
    assert isinstance(busy, Placement) and busy.gpu_layers == 0


@pytest.mark.parametrize(
    ("wish", "free", "words"),
    [(Wish(gpu_layers=0), 8 * GB, "gpu_layers is 0"), (Wish(), 10**6, "the GPU has 1 MB free")],
)
def test_the_cpu_is_taken_with_the_reason(tiny: Demand, wish: Wish, free: int, words: str) -> None:
    placed = place(wanting(tiny, wish), Machine(32 * GB, 30 * GB, ("CUDA0",), free), [])
    assert isinstance(placed, Placement) and placed.gpu_layers == 0
    assert words in placed.reason


def test_busy_models_are_waited_for_by_name(tiny: Demand) -> None:
    demand = wanting(tiny, Wish(slots=1))
    residents = [Resident("small", 1, None), Resident("large", need(demand), None)]
    assert place(demand, machine_with(demand, 0.1), residents) == Wait(("large",))


def test_what_can_never_fit_is_refused_with_the_numbers(tiny: Demand) -> None:
    demand = wanting(tiny, Wish(slots=1000))
    refused = place(demand, machine_with(demand, 0.1), [])
    assert isinstance(refused, Refusal)
    assert "needs 3.2 GB" in refused.reason and "1024 tokens" in refused.reason


RESIDENT = st.builds(
    Resident,
    key=st.uuids().map(str),
    memory_bytes=st.integers(1, 100 * GB),
    idle_s=st.floats(0, 10**6),
    load_s=st.floats(0, 600),
    is_kept=st.booleans(),
)


BYTE = Shortage(0, 1)


@given(st.lists(RESIDENT, max_size=8, unique_by=lambda each: each.key), st.integers(1, 200 * GB))
def test_victims_are_enough_and_none_is_superfluous(residents: list[Resident], wanted: int) -> None:
    victims = most_wasteful(residents, Shortage(0, wanted))
    sizes = {each.key: each.memory_bytes for each in residents}
    freed = sum(sizes[key] for key in victims)
    assert bool(victims) == (sum(sizes.values()) >= wanted)
    if victims:
        assert freed >= wanted
        assert all(freed - sizes[key] < wanted for key in victims)


RESIDENTS = st.lists(RESIDENT, max_size=8, unique_by=lambda each: each.key)


@given(RESIDENTS, RESIDENTS, st.integers(-GB, 200 * GB), st.integers(-GB, 200 * GB), st.booleans())
def test_memory_of_one_kind_and_a_budget_for_all_are_freed_together(
    on_cpu: list[Resident], on_gpu: list[Resident], here: int, total: int, is_gpu: bool
) -> None:
    on_gpu = [replace(each, is_on_gpu=True) for each in on_gpu]
    short = Shortage(here, total, on_gpu=is_gpu)
    everybody = on_cpu + on_gpu
    victims = set(most_wasteful(everybody, short))
    chosen = [each for each in everybody if each.key in victims]
    assert short.without(chosen).is_over or not (victims or short.without(everybody).is_over)
    assert not any(short.without([o for o in chosen if o is not each]).is_over for each in chosen)


@pytest.mark.parametrize("on_gpu", [True, False])
def test_a_budget_is_freed_wherever_its_models_are(tiny: Demand, on_gpu: bool) -> None:
    demand = wanting(tiny, Wish(slots=1, gpu_layers=None if on_gpu else 0))
    machine = Machine(32 * GB, 30 * GB, ("CUDA0",), 8 * GB, budget_bytes=0)
    elsewhere = Resident("elsewhere", need(demand), idle_s=1.0, is_on_gpu=not on_gpu)
    placed = place(demand, machine, [elsewhere])
    assert isinstance(placed, Placement) and placed.victims == ("elsewhere",)
    assert (placed.gpu_layers != 0) is on_gpu
    assert place(demand, machine, [replace(elsewhere, idle_s=None)]) == Wait(("elsewhere",))
    assert place(demand, machine, [replace(elsewhere, is_leaving=True)]) == Wait()
    no_memory = replace(machine, ram_available_bytes=0, gpu_available_bytes=0)
    assert isinstance(place(demand, no_memory, [elsewhere]), Refusal)


@given(RESIDENT, st.floats(1.5, 100))
def test_longer_idle_larger_or_sooner_back_goes_first(one: Resident, factor: float) -> None:
    one = replace(one, key="one", idle_s=(one.idle_s or 0) + 1, load_s=one.load_s + 1, is_kept=False)
    idler = replace(one, key="other", idle_s=(one.idle_s or 0) * factor)
    larger = replace(one, key="other", memory_bytes=int(one.memory_bytes * factor) + 1)
    quicker = replace(one, key="other", load_s=max(0.11, one.load_s / factor))
    for other in (idler, larger, quicker):
        assert most_wasteful([one, other], BYTE) == most_wasteful([other, one], BYTE) == ("other",)
        assert most_wasteful([one, replace(other, is_kept=True)], BYTE) == ("one",)


def test_a_model_that_loads_in_a_minute_outlives_one_that_loads_in_a_second() -> None:
    slow = Resident("slow", 4 * GB, idle_s=100, load_s=60)
    quick = Resident("quick", 4 * GB, idle_s=10, load_s=1)
    assert most_wasteful([slow, quick], BYTE) == ("quick",)
    assert most_wasteful([replace(slow, idle_s=1000), quick], BYTE) == ("slow",)
