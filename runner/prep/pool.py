"""The daemon's side of the prep child."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from typing import Any

from native import child
from runner.errors import TemplateFailed, WorkerFailed
from runner.prompts import RenderJob

DEADLINE_S = 2.0
START_DEADLINE_S = 30.0
# 4 Mi characters, each at most six bytes as JSON, and the brackets around them.
_LINE_LIMIT_BYTES = 25 * 1024 * 1024
_MODELS_LIMIT = 32


class Prep:
    """Renders chat templates, one at a time, in one warm child that is replaced when a template kills it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._child: _Child | None = None
        self._warming: asyncio.Task[None] | None = None

    def warm_up(self) -> None:
        """Start a child in the background, while the model loads; what may fail here, `render` reports."""
        if self._child is None and not self._turn.locked():
            self._warming = asyncio.create_task(self._start_quietly())

    async def _start_quietly(self) -> None:
        with contextlib.suppress(WorkerFailed, OSError):
            async with self._turn:
                await self._ready_child()

    async def render(self, job: RenderJob) -> tuple[str, ...]:
        """As `runner.prompts.render`. Raises TemplateFailed also when the template takes more than 2 s, too
        much memory, or its process down; WorkerFailed if no child can be started."""
        async with self._turn:
            answer = await self._ask(await self._ready_child(), job)
        if failed := answer.get("failed"):
            raise TemplateFailed(failed["message"], hint=failed["hint"])
        return tuple(answer["segments"])

    async def close(self) -> None:
        if self._warming is not None:
            await self._warming
        async with self._turn:
            await self._drop()

    async def _ready_child(self) -> _Child:
        if self._child is not None and self._child.is_usable:
            return self._child
        await self._drop()
        self._child = await _Child.start()
        return self._child

    async def _ask(self, asked: _Child, job: RenderJob) -> dict[str, Any]:
        answered = False
        try:
            answer = await asyncio.wait_for(asked.ask(job), DEADLINE_S)
            answered = True
            return answer
        except TimeoutError as error:
            raise TemplateFailed(
                f"the model's chat template ran for more than {DEADLINE_S:g} s and was stopped"
            ) from error
        except (EOFError, ConnectionError) as error:
            raise TemplateFailed("the model's chat template crashed the process that rendered it") from error
        finally:
            # Also when the caller is cancelled: the child would give this answer to the next one who asks.
            if not answered:
                await self._drop()

    async def _drop(self) -> None:
        dropped, self._child = self._child, None
        if dropped is not None:
            await dropped.end()


class _Child:
    """One process and what it knows: models are sent to it once and then named by number."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._models: dict[tuple[Any, ...], int] = {}

    @classmethod
    async def start(cls) -> _Child:
        process = await asyncio.create_subprocess_exec(
            *child.command("runner.prep"),
            stdin=PIPE,
            stdout=PIPE,
            env=child.environment(),
            limit=_LINE_LIMIT_BYTES,
        )
        started = cls(process)
        is_ready = False
        try:
            await asyncio.wait_for(started._answer(), START_DEADLINE_S)
            is_ready = True
        except (TimeoutError, EOFError) as error:
            raise WorkerFailed(
                "the process that renders chat templates did not start",
                hint="`nybble logs` shows what it said",
            ) from error
        finally:
            if not is_ready:
                await started.end()
        return started

    @property
    def is_usable(self) -> bool:
        return self._process.returncode is None and len(self._models) <= _MODELS_LIMIT

    async def ask(self, job: RenderJob) -> dict[str, Any]:
        """Raises EOFError or ConnectionError if the process ends."""
        model = (job.template, job.bos_text, job.eos_text, job.control_tokens)
        question: dict[str, Any] = {"model": self._models.get(model), "messages": job.messages}
        if question["model"] is None:
            question["model"] = self._models[model] = len(self._models)
            names = ("template", "bos_text", "eos_text", "control_tokens")
            question["define"] = dict(zip(names, model, strict=True))
        stdin = self._process.stdin
        if stdin is None:
            raise EOFError
        stdin.write(json.dumps(question).encode() + b"\n")
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
