"""Texts that take long to tokenize, in a worker that has other things to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.protocol import Cancel, Delta, Failed, Finished, Generate, Ready, Sampling, Shutdown, Stepped
from tests.system.engine.test_worker import WorkerProcess

GREEDY = Sampling(temperature=0, ignore_eos=True)
STREAM = Generate("stream", ("The list",), GREEDY, overflow="shift")
SHORT = Generate("short", ("It is",), Sampling(temperature=0, max_tokens=2))


def counted(name: str, characters: int = 2**18) -> Generate:
    """Blanks are what takes longest. With as much room as there is, the answer is their number of tokens."""
    return Generate(name, (" " * characters,), Sampling(), room_tokens=512)


@pytest.fixture
def worker(tiny_model: Path) -> Iterator[WorkerProcess]:
    running = WorkerProcess(tiny_model)
    running.wait_for(Ready)
    yield running
    running.close()


def until(worker: WorkerProcess, request_id: str) -> tuple[list[Delta], list[Finished | Failed]]:
    """What comes up to the end of a request."""
    deltas: list[Delta] = []
    ends: list[Finished | Failed] = []
    for event in worker.events():
        assert isinstance(event, Stepped)
        deltas += event.deltas
        ends += [*event.finished, *event.failed]
        if request_id in [end.request_id for end in ends]:
            return deltas, ends
    raise AssertionError("the worker ended before the request")


def names(ends: list[Finished | Failed]) -> list[str]:
    return [end.request_id for end in ends]


def test_streams_and_short_requests_go_on_while_long_texts_are_read_in_turn(worker: WorkerProcess) -> None:
    worker.send(STREAM)
    worker.wait_for(Stepped)
    for request in (counted("long"), counted("longer", 2**18 + 2**15), SHORT):
        worker.send(request)
    deltas, ends = until(worker, "long")
    assert names(ends) == ["short", "long"]
    assert isinstance(ends[1], Failed) and ends[1].prompt_tokens == 2**18 // 32
    assert sum(delta.request_id == "stream" for delta in deltas) > 20
    _, ends = until(worker, "longer")
    assert names(ends) == ["longer"]


def test_a_cancel_drops_a_text_that_is_being_read_and_those_that_wait(worker: WorkerProcess) -> None:
    for request in (counted("read"), counted("waits"), Cancel("waits"), Cancel("read"), counted("next")):
        worker.send(request)
    _, ends = until(worker, "next")
    assert names(ends) == ["waits", "read", "next"]
    assert [end.status for end in ends if isinstance(end, Failed)] == [499, 499, 400]
    worker.send(Cancel("read"))
    worker.send(counted("read", 2**15))
    _, ends = until(worker, "read")
    assert isinstance(ends[0], Failed) and ends[0].prompt_tokens == 2**15 // 32


def test_it_ends_when_told_also_while_it_reads(worker: WorkerProcess) -> None:
    worker.send(counted("long", 2**22))
    worker.send(SHORT)
    until(worker, "short")
    worker.send(Shutdown())
    assert worker.process.wait(2) == 0
