from __future__ import annotations

from pathlib import Path

import pytest

from modelstore.fit import memory_need
from modelstore.gguf import read_header
from modelstore.header import Header
from runner.placement import Machine, Placement, Refusal, Resident, Wait, Wish, place

GB = 10**9
ROOMY = Machine(ram_total_bytes=32 * GB, ram_available_bytes=30 * GB)


@pytest.fixture(scope="module")
def header(tiny_model: Path) -> Header:
    with tiny_model.open("rb") as stream:
        return read_header(stream, tiny_model.stat().st_size)


def machine_with(header: Header, models: float, wish: Wish) -> Machine:
    """A machine with room for `models` copies of the smallest shape that `wish` allows."""
    need = memory_need(header, wish.context_length or 1024, wish.slots or 1).total_bytes
    reserve = Machine(8 * GB, 0).ram_usable_bytes
    return Machine(8 * GB, int(models * need) - reserve)


def test_auto_takes_the_trained_context_and_several_slots(header: Header) -> None:
    placed = place(header, Wish(), ROOMY, [])
    assert isinstance(placed, Placement)
    assert (placed.context_length, placed.slots, placed.gpu_layers) == (1024, 4, 0)
    assert placed.reason == "CPU: no GPU backend found"


def test_wishes_are_followed_within_what_the_model_was_trained_for(header: Header) -> None:
    placed = place(header, Wish(context_length=512, slots=7, least_context_length=4000), ROOMY, [])
    assert isinstance(placed, Placement)
    assert (placed.context_length, placed.slots) == (1024, 7)


def test_everything_goes_to_a_gpu_that_has_room(header: Header) -> None:
    machine = Machine(32 * GB, 30 * GB, ("CUDA0",), 8 * GB)
    placed = place(header, Wish(), machine, [])
    assert isinstance(placed, Placement) and placed.gpu_layers == -1
    assert placed.reason.startswith("GPU (CUDA0)")


@pytest.mark.parametrize(
    ("wish", "free", "words"),
    [(Wish(gpu_layers=0), 8 * GB, "gpu_layers is 0"), (Wish(), 10**6, "the GPU has 1 MB free")],
)
def test_the_cpu_is_taken_with_the_reason(header: Header, wish: Wish, free: int, words: str) -> None:
    placed = place(header, wish, Machine(32 * GB, 30 * GB, ("CUDA0",), free), [])
    assert isinstance(placed, Placement) and placed.gpu_layers == 0
    assert words in placed.reason


def test_the_longest_idle_model_makes_room_and_no_more_than_needed(header: Header) -> None:
    wish = Wish(slots=1)
    need = memory_need(header, 1024, 1).total_bytes
    residents = [Resident("young", need, 5.0), Resident("old", need, 50.0), Resident("busy", need, None)]
    placed = place(header, wish, machine_with(header, 0.5, wish), residents)
    assert isinstance(placed, Placement) and placed.victims == ("old",)


def test_busy_models_are_waited_for(header: Header) -> None:
    wish = Wish(slots=1)
    need = memory_need(header, 1024, 1).total_bytes
    assert place(header, wish, machine_with(header, 0.1, wish), [Resident("busy", need, None)]) == Wait()


def test_what_can_never_fit_is_refused_with_the_numbers(header: Header) -> None:
    wish = Wish(slots=1000)
    refused = place(header, wish, machine_with(header, 0.1, wish), [])
    assert isinstance(refused, Refusal)
    assert "needs 3.2 GB" in refused.reason and "1024 tokens" in refused.reason
