"""One prep process, as the daemon sees it: questions and answers, one JSON object a line."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

from native import child
from runner.errors import WorkerFailed

START_DEADLINE_S = 30.0
DEADLINE_S = 2.0
_MOST_KNOWN = 32
# 4 Mi characters, each at most six bytes as JSON, and the brackets around them.
_LINE_LIMIT_BYTES = 25 * 1024 * 1024

Question = Callable[["Child"], dict[str, Any]]
"""What to ask a child, which may depend on what it was told before."""


class Child:
    """`known` numbers what the child was told once and is only named afterwards."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.known: dict[tuple[Any, ...], int] = {}

    @classmethod
    async def start(cls) -> Child:
        """Raises WorkerFailed."""
        process = await asyncio.create_subprocess_exec(
            *child.command("runner.prep"),
            stdin=PIPE,
            stdout=PIPE,
            env=child.environment(),
            limit=_LINE_LIMIT_BYTES,
        )
        started = cls(process)
        try:
            await asyncio.wait_for(started._answer(), START_DEADLINE_S)
        except BaseException as error:
            await started.end()
            if not isinstance(error, TimeoutError | EOFError):
                raise
            raise WorkerFailed(
                "the process that reads templates and grammars did not start",
                hint="`nybble logs` shows what it said",
            ) from error
        return started

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Raises EOFError or ConnectionError if the process ends."""
        stdin = self._process.stdin
        if stdin is None:
            raise EOFError
        # In ASCII an emoji would take twelve bytes, and the deadline counts their way through the pipe.
        stdin.write(json.dumps(question, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        await stdin.drain()
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        line = await self._process.stdout.readline() if self._process.stdout else b""
        if not line.endswith(b"\n"):
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


class WarmChild:
    """A child that is there when needed, asked one question at a time, and replaced when one kills it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._child: Child | None = None

    @property
    def is_cold(self) -> bool:
        return self._child is None and not self._turn.locked()

    async def warm_up(self) -> None:
        """Raises WorkerFailed or OSError."""
        async with self._turn:
            await self._ready()

    async def ask(self, question: Question) -> dict[str, Any]:
        """Raises TimeoutError past the deadline, EOFError or ConnectionError if the question ended the
        process, WorkerFailed if no child can be started."""
        async with self._turn:
            asked = await self._ready()
            try:
                return await asyncio.wait_for(asked.ask(question(asked)), DEADLINE_S)
            except BaseException:
                # Also when the caller is cancelled: the next one who asks would get this answer.
                await self._drop()
                raise

    async def close(self) -> None:
        async with self._turn:
            await self._drop()

    async def _ready(self) -> Child:
        if self._child is not None and self._child.is_alive and len(self._child.known) <= _MOST_KNOWN:
            return self._child
        await self._drop()
        self._child = await Child.start()
        return self._child

    async def _drop(self) -> None:
        dropped, self._child = self._child, None
        if dropped is not None:
            await dropped.end()
