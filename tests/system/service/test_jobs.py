"""Jobs: one run per key, joined by all who ask, cancelled when the last one leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import pytest

from modelstore.errors import StorageFull
from modelstore.manifests import Manifest
from modelstore.progress import Cancelled, Emit, Progress
from runner.jobs import Jobs

FIELDS: dict[str, object] = {field.name: None for field in dataclasses.fields(Manifest)}
RESULT = Manifest(**FIELDS | {"name": "a:latest", "modified_at": datetime.now(UTC)})  # type: ignore[arg-type]


class Work:
    """A job that says how far it is, and goes on when the test says so."""

    def __init__(self) -> None:
        self.runs = 0
        self.go = threading.Event()
        self.was_cancelled = threading.Event()

    def __call__(self, emit: Emit, cancelled: threading.Event) -> Manifest:
        self.runs += 1
        emit(Progress("working"))
        while not self.go.wait(0.01):
            if cancelled.is_set():
                self.was_cancelled.set()
                raise Cancelled
        return RESULT


async def rest(updates: AsyncGenerator[Progress | Manifest]) -> list[Progress | Manifest]:
    return [update async for update in updates]


async def test_two_who_ask_for_the_same_share_one_run() -> None:
    jobs, work = Jobs(), Work()
    first, second = jobs.follow("a", work), jobs.follow("a", work)
    assert await anext(first) == await anext(second) == Progress("working")
    work.go.set()
    assert await rest(first) == await rest(second) == [RESULT]
    assert work.runs == 1


async def test_one_who_leaves_does_not_stop_the_other_and_the_last_one_does() -> None:
    jobs, work = Jobs(), Work()
    first, second = jobs.follow("a", work), jobs.follow("a", work)
    await anext(first), await anext(second)
    await first.aclose()
    assert not work.was_cancelled.wait(0.05)
    await second.aclose()
    assert await asyncio.to_thread(work.was_cancelled.wait, 60)


async def test_who_asks_again_after_a_cancel_gets_a_run_of_its_own() -> None:
    jobs, work = Jobs(), Work()
    first = jobs.follow("a", work)
    await anext(first)
    await first.aclose()
    second = jobs.follow("a", work)
    assert await anext(second) == Progress("working")
    work.go.set()
    assert await rest(second) == [RESULT]
    assert work.runs == 2


async def test_a_failure_reaches_every_follower() -> None:
    def fail(emit: Emit, _cancelled: threading.Event) -> Manifest:
        emit(Progress("working"))
        raise StorageFull("no room")

    jobs = Jobs()
    for updates in [jobs.follow("a", fail), jobs.follow("a", fail)]:
        with pytest.raises(StorageFull):
            await rest(updates)


async def test_closing_waits_for_the_threads() -> None:
    jobs, work = Jobs(), Work()
    updates = jobs.follow("a", work)
    await anext(updates)
    await jobs.close()
    assert work.was_cancelled.is_set()
    with pytest.raises(Cancelled):
        await rest(updates)
