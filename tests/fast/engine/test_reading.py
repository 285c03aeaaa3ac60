"""Prompts that are read in a context of their own: the context, and the states that go there and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from native import state
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.reading import Reading, can_read, memory_bytes, most_tokens
from native.turning import moved
from tests.kinds_gguf import write_kind

OPTIONS = ContextOptions(512, 4, 96, 1, 1, flash_attention=False)
LONG = "word by word, a list of commands is read and each is run in its turn. " * 12


@pytest.fixture
def home(model: Model) -> Iterator[Context]:
    context = Context(model, OPTIONS)
    yield context
    context.close()


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Model]:
    model = Model(write_kind(tmp_path / "window.gguf", "window"), 0)
    yield model
    model.close()


def filled(model: Model, text: str, **options: object) -> tuple[Context, int]:
    """A context whose last sequence has read `text`, and how many tokens that are."""
    context = Context(model, replace(OPTIONS, batch_tokens=512, **options))  # type: ignore[arg-type]
    tokens = model.tokenize(text, add_special=True)
    context.batch.add(context.options.sequences - 1, 0, tokens, outputs=1)
    assert context.decode()
    return context, len(tokens)


def begun(reading: Reading, start: int = 0) -> int:
    """A batch that is being decoded; how many tokens it has."""
    tokens = reading.model.tokenize(LONG, add_special=True)[start : start + reading.batch.capacity]
    reading.batch.clear()
    reading.batch.add(0, start, tokens, outputs=1)
    reading.start()
    return len(tokens)


def threads_now() -> set[int]:
    return {thread.id for thread in psutil.Process().threads()}


def test_compute_threads_of_the_home_end_before_others_begin(model: Model) -> None:
    """Else libgomp counts more threads than there are processors, and all of them sleep at each operation."""

    def compute_threads_of_the_home() -> set[int]:
        before = threads_now()
        home, count = filled(model, "a state", threads=2, prefill_threads=2)
        waiting = threads_now() - before
        reading = Reading(home, OPTIONS.sequences - 1, count, OPTIONS.context_length)
        begun(reading, count)
        reading.finish()
        assert reading.move_home()
        home.close()
        return waiting

    # In a thread that has none from other tests.
    with ThreadPoolExecutor(1) as one:
        waiting = one.submit(compute_threads_of_the_home).result()
        assert waiting
        until = time.monotonic() + 10
        while waiting & threads_now():
            assert time.monotonic() < until, "they only sleep"


@pytest.mark.parametrize("kv_type", ["f16", "bf16", "f32"])
def test_a_state_turned_twice_is_what_it_was(model: Model, kv_type: str) -> None:
    both = {"kv_type_k": kv_type, "kv_type_v": kv_type}
    plain, count = filled(model, LONG, **both)
    flash, _ = filled(model, LONG, flash_attention=True, sequences=1, **both)
    original = state.save(flash, 0)
    columns = moved(original, OPTIONS.sequences, is_turned=True)
    assert state.restore(plain, 0, columns) and plain.positions(0) == (0, count - 1)
    assert moved(columns, 1, is_turned=True) == original
    assert moved(state.save(plain, 0), 1, is_turned=True) == original


@pytest.mark.parametrize("flash", [True, False])
@pytest.mark.parametrize("kind", ["dense", "window"])
def test_a_state_for_more_streams_is_what_it_was(kind: str, tmp_path: Path, *, flash: bool) -> None:
    model = Model(write_kind(tmp_path / "kind.gguf", kind), 0)
    many, count = filled(model, "a state", flash_attention=flash)
    one, _ = filled(model, "a state", flash_attention=flash, sequences=1)
    original = state.save(one, 0)
    assert state.restore(many, 0, moved(original, 4, is_turned=False)) and many.positions(0) == (0, count - 1)
    assert moved(state.save(many, 0), 1, is_turned=False) == original
    model.close()


def test_what_is_no_such_state_is_refused(model: Model) -> None:
    whole = state.save(filled(model, "a state")[0], 3)
    for broken in (bytearray(), whole[:-1], whole + b"\0", whole[:100], bytearray(len(whole))):
        with pytest.raises(ValueError, match="state"):
            moved(broken, 1, is_turned=True)


def test_recurrent_states_stay(model: Model, tmp_path: Path) -> None:
    recurrent = Model(write_kind(tmp_path / "mamba.gguf", "mamba"), 0)
    assert can_read(model, OPTIONS) and not can_read(recurrent, OPTIONS)
    assert not can_read(model, replace(OPTIONS, kv_type_k="q8_0"))
    recurrent.close()


def test_as_much_as_its_state_may_take(model: Model) -> None:
    context, count = filled(model, LONG)
    token_bytes = state.size(context, 3) // count
    large = replace(OPTIONS, context_length=1 << 24)
    assert most_tokens(model, OPTIONS) == 512 < most_tokens(model, large) < 1 << 24
    assert memory_bytes(model, large) == pytest.approx(256 * 2**20, rel=0.01)
    assert memory_bytes(model, OPTIONS) == pytest.approx(2 * 512 * token_bytes, rel=0.05)


def test_it_rests_while_another_context_decodes(model: Model, home: Context) -> None:
    reading, rests = Reading(home, 1, 0, 200), 0
    while not rests:
        reading.keep_prefix(0, 0)
        count = begun(reading)
        while not reading.is_over:
            with reading.paused():
                if not reading.is_over:
                    home.batch.clear()
                    home.batch.add(0, rests, [5], outputs=1)
                    assert home.decode()
                    rests += 1
                    # Ten times as long as the rest of the batch takes.
                    reading.wait(0.05)
                    assert not reading.is_over
            reading.wait(0.001)
        reading.finish()
    assert reading.positions(0) == (0, count - 1)
    assert reading.move_home() and home.positions(1) == (0, count - 1)


def test_it_stops_in_the_middle_of_a_batch(home: Context) -> None:
    reading = Reading(home, 1, 0, 200)
    first = begun(reading)
    reading.finish()
    begun(reading, first)
    assert reading.stop(first) and reading.is_over
    assert reading.positions(0) == (0, first - 1)
    reading.close()


def test_what_the_thread_met_is_raised_where_it_is_waited_for(home: Context) -> None:
    reading = Reading(home, 1, 0, 200)
    begun(reading, 100)
    reading.finish()
    # Before what is there: llama.cpp refuses it.
    begun(reading)
    with pytest.raises(LlamaError, match="llama_decode"):
        reading.finish()
    reading.close()


def test_a_state_that_is_refused_is_said(home: Context, capfd: pytest.CaptureFixture[str]) -> None:
    # Nothing was read, so there is no state to move.
    reading = Reading(home, 1, 0, 200)
    assert not reading.move_home()
    assert "what was read of a prompt cannot be moved" in capfd.readouterr().err


def test_a_decode_that_is_stopped_is_no_failure_in_the_log(
    model: Model, home: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    home.batch.add(0, 0, model.tokenize(LONG, add_special=True)[:90], outputs=1)
    home.stop_when(lambda: True)
    assert not home.decode()
    assert "fail" not in capfd.readouterr().err
    home.stop_when(lambda: False)
    home.batch.struct.n_tokens = 0
    with pytest.raises(LlamaError):
        home.decode()
    assert "n_tokens == 0" in capfd.readouterr().err
