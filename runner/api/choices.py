"""Several generations side by side, as the choices of one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from runner.api.stream import until_done
from runner.report import Event

Numbered = AsyncGenerator[tuple[int, Event]]


async def numbered(runs: Sequence[AsyncGenerator[Event]]) -> Numbered:
    """The events of all `runs` as they come, each with the index of its run, until all runs are done. Leaving
    early closes all of them, and so does the first failure, which is raised. What is not read yet waits in
    the runs, which bound it."""
    if len(runs) == 1:
        async with aclosing(until_done(runs[0])) as events:
            async for event in events:
                yield 0, event
        return
    arrived: asyncio.Queue[tuple[int, Event] | asyncio.Task[None]] = asyncio.Queue()
    tasks = [asyncio.create_task(_follow(index, run, arrived)) for index, run in enumerate(runs)]
    for task in tasks:
        task.add_done_callback(arrived.put_nowait)
    try:
        running = len(tasks)
        while running:
            item = await arrived.get()
            if isinstance(item, asyncio.Task):
                item.result()
                running -= 1
            else:
                yield item
            arrived.task_done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(
    index: int, run: AsyncGenerator[Event], arrived: asyncio.Queue[tuple[int, Event] | asyncio.Task[None]]
) -> None:
    async with aclosing(until_done(run)) as events:
        async for event in events:
            arrived.put_nowait((index, event))
            await arrived.join()
