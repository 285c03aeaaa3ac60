"""A daemon without models: a real HTTP server on loopback that speaks `/nybble/*` with scripted answers.

Chats are kept by the real history behind the real routes; only models, pulls, generations and comparisons are
scripted.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from modelstore.errors import NotFound
from runner import wire
from runner.api import errors
from runner.api.sessions import router as sessions_router
from runner.history import History
from runner.wire.compare import CompareRequest, Comparison, ComparisonDone, ComparisonInfo
from tests.fakes.listening import listening, loopback

START = datetime(2026, 5, 1, 14, 2, tzinfo=UTC)


class Gate:
    """A place in a script where the daemon rests until the test opens it."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened: Future[None] = Future()

    def open(self) -> None:
        self._opened.set_result(None)

    async def pass_through(self) -> None:
        self._reached.set()
        await asyncio.shield(asyncio.wrap_future(self._opened))

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, 60), "the script did not come this far"


class HangUp:
    """A place in a script where the daemon closes the connection in the middle of the answer."""


Step = wire.Wire | Gate | HangUp


def model(name: str, *, has_chat_template: bool = True, size_bytes: int = 98_362_432) -> wire.ModelInfo:
    return wire.ModelInfo(
        name=name,
        digest="sha256:" + "0" * 64,
        size_bytes=size_bytes,
        modified_at=START,
        source="test",
        quantization="Q4_1",
        context_length=8192,
        has_chat_template=has_chat_template,
    )


def loaded(name: str) -> wire.LoadedModel:
    digest = "sha256:" + "0" * 64
    return wire.LoadedModel(
        name=name, digest=digest, state="ready", size_bytes=98_362_432, context_length=8192, slots=1
    )


def answer(*pieces: str, reason: str = "stop") -> list[Step]:
    """A whole generation: prefill, the pieces as text, the end with fixed figures."""
    deltas = [wire.TextDelta(text=piece, completion_tokens=number) for number, piece in enumerate(pieces, 1)]
    return [wire.Prefilling(done_tokens=31, total_tokens=31), *deltas, done(128, reason)]


def done(completion_tokens: int, reason: str = "stop") -> wire.Done:
    return wire.Done(
        model="smollm2:135m",
        reason=reason,
        usage=wire.Usage(prompt_tokens=31, completion_tokens=completion_tokens),
        timings=wire.Timings(prefill_s=0.2, decode_s=2.75, ttft_s=0.31, total_s=3.1),
    )


def error(message: str, hint: str | None = None, status: int = 500) -> wire.ErrorEvent:
    return wire.ErrorEvent(
        error=wire.ErrorBody(message=message, hint=hint, code="worker_crashed", status=status)
    )


@dataclass
class FakeDaemon:
    """`replies`, `pulls` and `comparisons` are scripts, used up one for each request; `requests` and
    `compared` is what was asked; `kept` and `infos` are earlier comparisons; `store` is for the handshake."""

    folder: Path
    models: list[wire.ModelInfo] = field(default_factory=lambda: [model("smollm2:135m")])
    loaded: list[wire.LoadedModel] = field(default_factory=list)
    replies: deque[Sequence[Step]] = field(default_factory=deque)
    pulls: deque[Sequence[Step]] = field(default_factory=deque)
    comparisons: deque[Sequence[Step]] = field(default_factory=deque)
    requests: list[wire.GenerateRequest] = field(default_factory=list)
    compared: list[CompareRequest] = field(default_factory=list)
    kept: list[Comparison] = field(default_factory=list)
    infos: list[ComparisonInfo] = field(default_factory=list)
    store: Path = Path()
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        minutes = count()
        self.history = History(
            self.folder / "history.sqlite3", clock=lambda: START + timedelta(minutes=next(minutes))
        )
        self._port = 0
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens; on the same port as before if it ran already."""
        listener = loopback(self._port)
        self._port = listener.getsockname()[1]
        self._loop, self._stopped = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._serve, args=(listener,))
        self._thread.start()

    def _serve(self, listener: socket.socket) -> None:
        async def serve() -> None:
            async with listening(self._app(), listener):
                await self._stopped.wait()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    def stop(self) -> None:
        """Ends at once, also in the middle of an answer."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def close(self) -> None:
        self.stop()
        self.history.close()

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.state.service = SimpleNamespace(history=self.history)
        app.include_router(sessions_router)
        errors.install(app)
        app.add_api_route("/nybble/models", lambda: self.models)
        app.add_api_route("/nybble/ps", lambda: self.loaded)
        app.add_api_route("/nybble/generate", self._generate, methods=["POST"])
        app.add_api_route("/nybble/pull", self._pull, methods=["POST"])
        app.add_api_route("/nybble/health", self._health)
        app.add_api_route("/nybble/compare", self._compare, methods=["POST"])
        app.add_api_route("/nybble/comparisons", lambda: self.infos)
        app.add_api_route("/nybble/comparisons/{number}", self._comparison)
        return app

    async def _generate(self, request: wire.GenerateRequest) -> StreamingResponse:
        self.requests.append(request)
        return StreamingResponse(self._lines(self.replies.popleft()), media_type="application/x-ndjson")

    async def _pull(self, request: wire.PullRequest) -> StreamingResponse:
        return StreamingResponse(self._lines(self.pulls.popleft()), media_type="application/x-ndjson")

    async def _compare(self, request: Request) -> StreamingResponse:
        self.compared.append(CompareRequest.model_validate_json(await request.body()))
        return StreamingResponse(self._lines(self.comparisons.popleft()), media_type="application/x-ndjson")

    async def _comparison(self, number: int) -> Comparison:
        for comparison in self.kept:
            if comparison.id == number:
                return comparison
        raise NotFound(f"there is no comparison {number}")

    async def _health(self) -> wire.Health:
        return wire.Health(version="0", pid=0, address=self.address, store=str(self.store), started_at=START)

    async def _lines(self, script: Sequence[Step]) -> AsyncIterator[str]:
        try:
            for step in script:
                if isinstance(step, Gate):
                    await step.pass_through()
                elif isinstance(step, HangUp):
                    raise ConnectionAbortedError
                else:
                    if isinstance(step, wire.JobDone):
                        self.models = [step.model, *self.models]
                    elif isinstance(step, ComparisonDone):
                        self._keep(step.comparison)
                    yield step.model_dump_json() + "\n"
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def _keep(self, done: Comparison) -> None:
        names = [variant.name for variant in done.variants]
        choice = done.recommendation.choice if done.recommendation else None
        info = ComparisonInfo(
            id=done.id or 0,
            created_at=done.created_at,
            model=done.model,
            reference=done.reference,
            variants=names,
            choice=choice,
        )
        self.kept, self.infos = [done, *self.kept], [info, *self.infos]


def running(folder: Path) -> Iterator[FakeDaemon]:
    """For a fixture."""
    daemon = FakeDaemon(folder)
    yield daemon
    daemon.close()
