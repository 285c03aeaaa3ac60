"""A worker that does nothing any more is ended, and so is an answer that nobody reads; one that fails tells
each of its requests why."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil
import pytest

from runner.errors import AnswerUnread, WorkerFailed
from runner.process import Limits, Worker
from runner.protocol import Delta, Embed, Finished, Generate, Load, Sampling

PATIENCE_S = 1.0
UNREAD = 200
LIMITS = Limits(PATIENCE_S, UNREAD)
GREEDY = Sampling(temperature=0.0, ignore_eos=True)
LONG = Generate(
    "1", ("The list",), msgspec.structs.replace(GREEDY, max_tokens=UNREAD - 10), speculation=False
)
ENDLESS = Generate("2", ("The list",), GREEDY, overflow="shift", speculation=False)


@pytest.fixture
async def worker(tiny_model: Path) -> AsyncIterator[Worker]:
    load = Load(str(tiny_model), 512, 2, 0, 1, 1)
    worker = await Worker.start("tiny", load, lambda _fraction: None, LIMITS)
    yield worker
    await worker.stop()


async def test_a_stopped_process_fails_its_requests(worker: Worker) -> None:
    answer = worker.generate(ENDLESS)
    await anext(answer)
    psutil.Process(worker.pid).suspend()
    with pytest.raises(WorkerFailed, match=r"did nothing for 1 s"):
        async with asyncio.timeout(20):
            async for _ in answer:
                pass
    await worker.exited.wait()


async def test_an_exception_fails_each_request_with_its_message_and_no_traceback(worker: Worker) -> None:
    answers = [worker.generate(msgspec.structs.replace(ENDLESS, request_id=name)) for name in ("a", "b")]
    for answer in answers:
        await anext(answer)
    with pytest.raises(WorkerFailed) as failed:
        await worker.embed(Embed("c", ("a chat model cannot",)))
    for answer in answers:
        with pytest.raises(WorkerFailed, match=re.escape(failed.value.message)):
            async for _ in answer:
                pass
    assert failed.value.message.endswith("ProtocolError: a worker loaded like this cannot embed")
    assert "Traceback" not in failed.value.message and "line" not in failed.value.message
    await worker.exited.wait()


async def test_a_process_that_nobody_waits_for_may_rest(worker: Worker) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.exited.wait(), 3 * PATIENCE_S)
    events = [event async for event in worker.generate(LONG)]
    assert isinstance(events[-1], Finished)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
async def test_a_process_that_hangs_at_load_is_given_up(tmp_path: Path) -> None:
    pipe = tmp_path / "model.gguf"
    os.mkfifo(pipe)
    with pytest.raises(WorkerFailed, match=r"did nothing"):
        async with asyncio.timeout(20):
            await Worker.start("tiny", Load(str(pipe), 512, 1, 0, 1, 1), lambda _fraction: None, LIMITS)


async def completion(worker: Worker, request: Generate) -> list[Delta | Finished]:
    return [event async for event in worker.generate(request)]


def text(events: list[Delta | Finished]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.parametrize(("top_logprobs", "steps"), [(None, UNREAD), (18, UNREAD // 20)])
async def test_an_answer_that_nobody_reads_ends_once_and_nobody_else_notices(
    worker: Worker, top_logprobs: int | None, steps: int
) -> None:
    ends: list[object] = []
    stalled = worker.generate(msgspec.structs.replace(ENDLESS, top_logprobs=top_logprobs), ends.append)
    await anext(stalled)
    other = await completion(worker, LONG)
    while worker.busy_slots:
        other = await completion(worker, LONG)
        assert isinstance(other[-1], Finished) and other[-1].reason == "length"
    assert [type(end) for end in ends] == [AnswerUnread]
    with pytest.raises(AnswerUnread, match=rf"^{steps} steps of the answer were not read") as caught:
        async for event in stalled:
            assert isinstance(event, Delta)
            read = event.completion_tokens
    assert read >= steps and (caught.value.code, caught.value.status) == ("answer_unread", 400)


async def test_a_slow_reader_gets_all_of_it_in_parts_that_take_no_time(worker: Worker) -> None:
    slow = worker.generate(msgspec.structs.replace(LONG, request_id="slow"))
    begun = await anext(slow)
    quick = await completion(worker, LONG)
    while worker.busy_slots:
        await completion(worker, LONG)
    parts = [begun, *[event async for event in slow]]
    assert text(parts) == text(quick) and isinstance(parts[-1], Finished)
    counts = [part.completion_tokens for part in parts]
    assert len(parts) < 10 and max(after - before for before, after in pairwise(counts)) <= 64
