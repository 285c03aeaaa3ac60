"""Prefix reuse between the requests of one engine. What every kind of model does is in test_kinds.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from native.llama import Context, ContextOptions, Model
from runner.protocol import Finished, Generate, Sampling
from runner.worker.engine import Engine
from runner.worker.prefix.caches import PrefixLimits
from tests.fast.engine.driving import GREEDY, answer, answers, run

RAM = PrefixLimits(ram_bytes=64 << 20)
ONE = Sampling(temperature=0, max_tokens=1, ignore_eos=True)


@contextmanager
def engine(model: Model, slots: int = 2, limits: PrefixLimits = RAM) -> Iterator[Engine]:
    context = Context(model, ContextOptions(1024, slots, 256, 1, 1))
    running = Engine(context, 0.0, limits)
    yield running
    running.close()
    context.close()


def words(topic: str, count: int = 120) -> str:
    return f"About {topic}: " + " ".join(f"{topic}{number}" for number in range(count))


def submit(engine: Engine, name: str, prompt: str, sampling: Sampling = GREEDY) -> None:
    engine.submit(Generate(name, (prompt,), sampling))


def test_a_chat_that_goes_on_stays_in_its_slot_and_a_new_one_takes_an_empty_slot(model: Model) -> None:
    with engine(model, slots=3) as chats:
        a = answer(chats, words("a"))
        answer(chats, words("b"))
        answer(chats, words("a") + a.text + " more")
        lengths = [len(slot.cached) for slot in chats._slots]
    assert lengths[0] > lengths[1] > 0 == lengths[2]


def test_a_prompt_that_continues_one_still_being_generated_copies_it(model: Model) -> None:
    with engine(model) as chats:
        submit(chats, "long", words("a"), Sampling(temperature=0, max_tokens=200, ignore_eos=True))
        while not any(delta.completion_tokens for delta in chats.step().deltas):
            pass
        submit(chats, "same", words("a") + " and then", ONE)
        ended = run(chats)
    assert ended["same"].cached >= ended["long"].end.prompt_tokens - 2


def test_who_waits_for_anothers_prompt_lets_those_behind_pass(model: Model) -> None:
    with engine(model, slots=2) as chats:
        for name, prompt in (("first", words("a")), ("waits", words("a")), ("passes", words("b"))):
            submit(chats, name, prompt)
        step = chats.step()
        assert (step.busy_slots, step.waiting) == (2, 1)
        assert {delta.request_id for delta in step.deltas if delta.queue_position} == {"waits"}
        ended = run(chats)
    assert ended["waits"].text == ended["first"].text
    assert ended["waits"].cached == ended["first"].end.prompt_tokens - 1


def test_who_waits_computes_the_prompt_itself_if_the_other_is_cancelled(model: Model) -> None:
    with engine(model) as chats:
        submit(chats, "first", words("a"))
        submit(chats, "waits", words("a"))
        chats.step()
        chats.cancel("first")
        ended = run(chats)
        again = answer(chats, words("a"))
    assert ended["waits"].text == again.text


def test_two_that_share_too_little_do_not_wait(model: Model) -> None:
    with engine(model) as chats:
        submit(chats, "one", words("a"))
        submit(chats, "other", words("a", 5) + words("b"))
        assert chats.step().busy_slots == 2
        run(chats)


def test_memory_keeps_no_more_than_it_may(model: Model) -> None:
    with engine(model, slots=1) as chats:
        first = answer(chats, words("a"))
        answer(chats, words("b"))
        size = sum(each.size_bytes for each in chats._admission._caches._ram.latest_first())
    with engine(model, slots=1, limits=PrefixLimits(ram_bytes=size - 1)) as chats:
        answer(chats, words("a"))
        answer(chats, words("b"))
        assert answer(chats, words("a")).cached < 10
    assert first.cached == 0 and size > 100_000


@pytest.mark.parametrize(("longest_save_s", "is_saved"), [(60.0, True), (0.0, False)])
def test_while_a_stream_runs_only_quick_copies_are_made(
    model: Model, longest_save_s: float, is_saved: bool
) -> None:
    with engine(model, limits=PrefixLimits(64 << 20, longest_save_s=longest_save_s)) as chats:
        submit(chats, "stream", "It returns", Sampling(temperature=0, max_tokens=500, ignore_eos=True))
        chats.step()
        for name in ("a", "b", "again"):
            submit(chats, name, words("b" if name == "b" else "a"), ONE)
            ends: list[Finished] = []
            while not ends:
                ends = [end for end in chats.step().finished if end.request_id == name]
        assert (ends[0].cached_tokens > 100) == is_saved
        chats.cancel("stream")
        run(chats)


def test_a_request_from_disk_lets_a_stream_run_on(model: Model, tmp_path: Path) -> None:
    limits = PrefixLimits(64 << 20, str(tmp_path / "key"), 64 << 20)
    with engine(model, slots=1, limits=limits) as chats:
        told = answer(chats, words("a"))
    with engine(model, slots=2, limits=limits) as chats:
        assert answer(chats, words("a")).cached == 0, "a file of another layout was taken"
    with engine(model, slots=1, limits=limits) as chats:
        again = answer(chats, words("a"))
    assert again.cached == told.end.prompt_tokens - 1
    assert again.text == told.text
    with engine(model, slots=2, limits=limits) as chats:
        submit(chats, "stream", "It returns", Sampling(temperature=0, max_tokens=200, ignore_eos=True))
        chats.step()
        submit(chats, "disk", words("a") + " and so on")
        ended = run(chats)
    assert ended["disk"].cached >= told.end.prompt_tokens - 1


def test_other_loads_of_a_model_share_its_disk_space_and_nothing_else(model: Model, tmp_path: Path) -> None:
    most_bytes = 64 << 20
    for files, key in enumerate(("f16", "q8_0", "small"), 1):
        if key == "small":
            most_bytes = max(file.stat().st_size for file in tmp_path.iterdir())
            files = 1
        with engine(model, limits=PrefixLimits(64 << 20, str(tmp_path / key), most_bytes)) as chats:
            assert answer(chats, words("a")).cached == 0
        assert len(list(tmp_path.iterdir())) == files


def test_a_damaged_file_is_computed_again(model: Model, tmp_path: Path) -> None:
    limits = PrefixLimits(64 << 20, str(tmp_path / "key"), 64 << 20)
    with engine(model, limits=limits) as chats:
        told = answer(chats, words("a"))
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with engine(model, limits=limits) as chats:
        again = answer(chats, words("a"))
    assert (again.text, again.cached) == (told.text, 0)


def test_a_request_that_was_running_at_shutdown_is_saved_as_far_as_it_got(
    model: Model, tmp_path: Path
) -> None:
    limits = PrefixLimits(64 << 20, str(tmp_path / "key"), 64 << 20)
    with engine(model, limits=limits) as chats:
        submit(chats, "running", words("a"))
        while not any(delta.completion_tokens for delta in chats.step().deltas):
            pass
    with engine(model, limits=limits) as chats:
        assert answer(chats, words("a")).cached > 250


def test_nothing_is_kept_where_all_is_off(model: Model, tmp_path: Path) -> None:
    with engine(model, slots=1, limits=PrefixLimits(0, str(tmp_path / "off"), 64 << 20)) as chats:
        answer(chats, words("a"))
        answer(chats, words("b"))
        assert answer(chats, words("a")).cached < 10
    assert not (tmp_path / "off").exists()


def test_many_equal_prompts_are_computed_once(model: Model) -> None:
    with engine(model, slots=4) as chats:
        given = answers(chats, [words("a")] * 8)
    assert len({each.text for each in given}) == 1
    assert sorted(each.cached for each in given)[1] == given[0].end.prompt_tokens - 1
