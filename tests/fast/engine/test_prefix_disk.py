"""The prefix files: whole or not used, private, and within their limit."""

from __future__ import annotations

import os
import sys
import time
from array import array
from pathlib import Path

import pytest

from runner.worker.prefix.disk import DiskCache
from runner.worker.prefix.history import History
from runner.worker.prefix.ram import RamCache
from runner.worker.prefix.snapshot import Checkpoint, Snapshot

LIMIT = 1 << 20


def tokens(count: int, start: int = 0) -> bytes:
    return array("i", range(start, start + count)).tobytes()


def snapshot(count: int = 300, start: int = 0, state_bytes: int = 5000) -> Snapshot:
    state = bytearray(os.urandom(state_bytes))
    return Snapshot(tokens(count, start), state, (Checkpoint(200, bytearray(b"partial")),))


def turn(state: bytearray) -> bytearray:
    if state == b"no state":
        raise ValueError(state)
    return state[::-1]


def cache(folder: Path, limit: int = LIMIT, layout: str = "this", longest: int = 4096) -> DiskCache:
    layouts = [layout, "turned" if layout == "this" else "of something else"]
    return DiskCache(folder, limit, layouts, History(), longest, turn)


def written(folder: Path, *snapshots: Snapshot, limit: int = LIMIT, layout: str = "this") -> None:
    cache(folder, limit, layout).close(snapshots, time.monotonic() + 60)


def read(disk: DiskCache, wanted: bytes) -> Snapshot | None:
    _, head = disk.find(wanted)
    if head is None:
        return None
    result = disk.start_reading(head).result()
    assert disk.take_read() == ([result] if result else [])
    return result


def test_what_was_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    kept = snapshot()
    written(tmp_path / "a" / "b", kept)
    disk = cache(tmp_path / "a" / "b")
    assert disk.find(tokens(250))[0] == 250
    found = read(disk, tokens(250))
    assert found is not None
    assert (found.tokens, found.state) == (kept.tokens, kept.state)
    (checkpoint,) = found.checkpoints
    assert (checkpoint.length, bytes(checkpoint.state)) == (200, b"partial")
    disk.close([], 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_user_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "prefixes"
    written(folder, snapshot())
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("at", [0, 9, 20, 60, 1000, 3000, -1])
def test_a_file_with_one_wrong_byte_is_not_used_and_removed(tmp_path: Path, at: int) -> None:
    written(tmp_path, snapshot())
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(data)
    disk = cache(tmp_path)
    assert read(disk, tokens(300)) is None
    assert disk.find(tokens(300)) == (0, None)
    assert list(tmp_path.iterdir()) == []
    disk.close([], 0)


@pytest.mark.parametrize("size", [0, 5, 40, 1000, 6000])
def test_a_file_that_was_cut_off_is_not_used_and_removed(tmp_path: Path, size: int) -> None:
    written(tmp_path, snapshot())
    (file,) = tmp_path.iterdir()
    os.truncate(file, size)
    disk = cache(tmp_path)
    assert disk.find(tokens(300)) == (0, None)
    assert list(tmp_path.iterdir()) == []
    disk.close([], 0)


def test_files_of_another_layout_are_left_alone_and_not_used(tmp_path: Path) -> None:
    written(tmp_path, snapshot(), layout="other")
    disk = cache(tmp_path)
    assert disk.find(tokens(300)) == (0, None)
    assert len(list(tmp_path.iterdir())) == 1
    disk.close([], 0)


def test_states_of_the_second_layout_are_turned(tmp_path: Path) -> None:
    kept = snapshot()
    written(tmp_path, kept, layout="turned")
    disk = cache(tmp_path)
    found = read(disk, kept.tokens)
    assert found is not None and found.state == kept.state[::-1]
    assert [bytes(each.state) for each in found.checkpoints] == [b"laitrap"]
    disk.close([], 0)
    written(tmp_path, kept)
    disk = cache(tmp_path)
    found = read(disk, kept.tokens)
    assert found is not None and found.state == kept.state[::-1], "what can be read is not written again"
    disk.close([], 0)


def test_what_cannot_be_turned_is_removed(tmp_path: Path) -> None:
    written(tmp_path, Snapshot(tokens(300), bytearray(b"no state")), layout="turned")
    disk = cache(tmp_path)
    assert read(disk, tokens(300)) is None and list(tmp_path.iterdir()) == []
    disk.close([], 0)


def test_a_lower_limit_holds_from_the_beginning(tmp_path: Path) -> None:
    written(tmp_path, *(snapshot(start=start, state_bytes=10_000) for start in (0, 5000, 9000)))
    disk = cache(tmp_path, limit=30_000)
    assert len(list(tmp_path.iterdir())) == 2
    disk.close([], 0)


def test_what_no_slot_can_take_is_left_for_a_larger_context(tmp_path: Path) -> None:
    written(tmp_path, snapshot(300))
    for longest, found in ((299, 0), (300, 300)):
        disk = cache(tmp_path, longest=longest)
        assert disk.find(tokens(300))[0] == found
        disk.close([], 0)


def test_a_file_that_went_away_is_no_error(tmp_path: Path) -> None:
    written(tmp_path, snapshot())
    disk = cache(tmp_path)
    next(tmp_path.iterdir()).unlink()
    assert read(disk, tokens(300)) is None
    assert disk.find(tokens(300)) == (0, None)
    disk.close([], 0)


def test_the_least_recently_used_file_goes_first(tmp_path: Path) -> None:
    a, b, c = (snapshot(start=start, state_bytes=10_000) for start in (0, 5000, 9000))
    written(tmp_path, a, b)
    old = time.time() - 1000
    for file in tmp_path.iterdir():
        os.utime(file, (old, old))
    disk = cache(tmp_path, limit=30_000)
    assert read(disk, a.tokens) is not None  # used: now b is the oldest
    disk.start_writing(c)
    disk.close([c], time.monotonic() + 60)
    after = cache(tmp_path)
    assert [after.find(each.tokens)[0] for each in (a, b, c)] == [300, 0, 300]
    after.close([], 0)


def test_a_longer_one_takes_the_place_of_what_it_continues(tmp_path: Path) -> None:
    written(tmp_path, snapshot(300), snapshot(600))
    assert len(list(tmp_path.iterdir())) == 1
    written(tmp_path, snapshot(500))
    assert len(list(tmp_path.iterdir())) == 1


def test_short_ones_and_what_has_no_time_are_not_written(tmp_path: Path) -> None:
    written(tmp_path, snapshot(100))
    cache(tmp_path).close([snapshot()], time.monotonic() - 1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_costs_nothing_but_the_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    disk = cache(tmp_path / "file" / "folder")
    disk.start_writing(snapshot())
    assert disk.find(tokens(300)) == (0, None)
    disk.close([snapshot()], time.monotonic() + 60)


def test_an_abandoned_temporary_file_is_removed_and_a_young_one_is_not(tmp_path: Path) -> None:
    old, young = tmp_path / "x.1.tmp", tmp_path / "y.2.tmp"
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    cache(tmp_path).close([], 0)
    assert list(tmp_path.iterdir()) == [young]


def test_memory_keeps_what_was_used_last_within_its_limit() -> None:
    evicted: list[Snapshot] = []
    a, b, c = (snapshot(start=start, state_bytes=10_000) for start in (0, 5000, 9000))
    ram = RamCache(2 * a.size_bytes, History(), evicted.append)
    ram.add(a)
    ram.add(b)
    ram.use(a)
    ram.add(c)
    assert evicted == [b]
    assert ram.latest_first() == [c, a]
    longer = snapshot(400, state_bytes=10_000)
    ram.add(longer)
    assert ram.find(tokens(350)) == (350, longer)
    assert a not in ram.latest_first()


def test_what_is_larger_than_memory_may_hold_pushes_nothing_out() -> None:
    evicted: list[Snapshot] = []
    small, large = snapshot(), snapshot(start=5000, state_bytes=50_000)
    ram = RamCache(20_000, History(), evicted.append)
    ram.add(small)
    ram.add(large)
    assert (evicted, ram.latest_first()) == ([large], [small])
