"""The application over a real socket, with a service that plays a script instead of a model.

For what a real model cannot be made to do on demand: fail between two tokens, fall silent, end without an
end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from runner import wire
from runner.api.app import build_app
from runner.api.connection import Connection
from runner.settings import Settings
from tests.fakes.listening import listening, loopback

Step = wire.Wire | Exception | asyncio.Event

DONE = wire.Done(
    model="tiny:latest",
    reason="stop",
    usage=wire.Usage(prompt_tokens=7, cached_tokens=3, completion_tokens=2),
    timings=wire.Timings(load_s=0.5, prefill_s=0.25, decode_s=1.5, total_s=2.25),
)
HELLO: tuple[Step, ...] = (
    wire.Queued(position=1),
    wire.Loading(fraction=0.5),
    wire.Prefilling(done_tokens=7, total_tokens=7),
    wire.TextDelta(text="Hel", completion_tokens=1),
    wire.TextDelta(text="", completion_tokens=1),
    wire.TextDelta(text="lo", completion_tokens=1),
    DONE,
)


@dataclass
class ScriptedService:
    """Plays `script` for every generation and job: wire events are yielded, exceptions raised, asyncio events
    awaited. `requests` are those that arrived; `resting` is set while a script awaits, `ended` when the last
    one was left, by its end or early."""

    script: Sequence[Step] = HELLO
    settings: Settings = field(default_factory=Settings)
    requests: list[Any] = field(default_factory=list)
    resting: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0

    def generate(self, request: wire.GenerateRequest) -> AsyncGenerator[Any]:
        return self._play(request, self.script)

    def pull(self, request: wire.PullRequest) -> AsyncGenerator[Any]:
        return self._play(request, self.script)

    async def _play(self, request: wire.Wire, script: Sequence[Step]) -> AsyncGenerator[Any]:
        self.requests.append(request)
        self.ended.clear()
        self.running += 1
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    self.resting.set()
                    await step.wait()
                else:
                    yield step
        finally:
            self.resting.clear()
            self.running -= 1
            if not self.running:
                self.ended.set()


@cache
def application(listen_host: str) -> FastAPI:
    """One for all tests: it takes half a second to build."""
    return build_app(ScriptedService(settings=Settings(host=listen_host)))


@asynccontextmanager
async def serving(service: Any, protocol: type[Connection] = Connection) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application on a free loopback port."""
    app = application(service.settings.host)
    app.state.service = service
    listener = loopback()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        listening(app, listener, protocol),
        # Certificates are nobody's here, and reading them takes 20 ms.
        httpx.AsyncClient(base_url=address, trust_env=False, verify=False, timeout=60) as client,
    ):
        yield client
