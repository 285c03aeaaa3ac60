"""A worker that does nothing any more is ended, and nobody waits for it for ever."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from runner.errors import WorkerFailed
from runner.process import Worker
from runner.protocol import Finished, Generate, Load, Sampling

PATIENCE_S = 1.0
ENDLESS = Generate("1", ("The list",), Sampling(temperature=0.0, ignore_eos=True))


@pytest.fixture
async def worker(tiny_model: Path) -> Worker:
    load = Load(str(tiny_model), 512, 1, 0, 1, 1)
    return await Worker.start("tiny", load, lambda _fraction: None, PATIENCE_S)


async def test_a_stopped_process_fails_its_requests(worker: Worker) -> None:
    answer = worker.generate(ENDLESS)
    await anext(answer)
    psutil.Process(worker.pid).suspend()
    with pytest.raises(WorkerFailed, match=r"did nothing for 1 s"):
        async with asyncio.timeout(20):
            async for _ in answer:
                pass
    await worker.exited.wait()


async def test_a_process_that_nobody_waits_for_may_rest(worker: Worker) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.exited.wait(), 3 * PATIENCE_S)
    events = [event async for event in worker.generate(ENDLESS)]
    assert isinstance(events[-1], Finished)
    await worker.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
async def test_a_process_that_hangs_at_load_is_given_up(tmp_path: Path) -> None:
    pipe = tmp_path / "model.gguf"
    os.mkfifo(pipe)
    with pytest.raises(WorkerFailed, match=r"did nothing"):
        async with asyncio.timeout(20):
            await Worker.start("tiny", Load(str(pipe), 512, 1, 0, 1, 1), lambda _fraction: None, PATIENCE_S)
