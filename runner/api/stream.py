"""Answers that end exactly once and stop the work behind them when the client goes away."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import aclosing
from itertools import islice
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from modelstore.errors import NybbleError
from runner import wire
from runner.api import errors
from runner.errors import WorkerFailed
from runner.report import Event

_Event = TypeVar("_Event")
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

SILENCE_S = 1.0
_CLIENT_GONE = 499
_AT_ONCE = 32

ALSO_STREAMS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
"""For the OpenAPI document: the route answers with one object, or with server-sent events."""


async def until_done(events: AsyncGenerator[_Event]) -> AsyncGenerator[_Event]:
    """`events` up to the one that ends them; leaving early closes them, which cancels the work behind.
    Raises WorkerFailed if they stop without an end."""
    async with aclosing(events) as running:
        async for event in running:
            yield event
            if isinstance(event, wire.Done | wire.JobDone):
                return
    raise WorkerFailed("the work ended without a result")


async def collected(events: AsyncGenerator[Event]) -> tuple[str, list[wire.TokenLogprob], wire.Done]:
    """Text, log probabilities and end of a whole generation."""
    text: list[str] = []
    logprobs: list[wire.TokenLogprob] = []
    async with aclosing(until_done(events)) as running:
        async for event in running:
            if isinstance(event, wire.TextDelta):
                text.append(event.text)
                logprobs += event.logprobs or ()
            elif isinstance(event, wire.Done):
                done = event
    return "".join(text), logprobs, done


Record = BaseModel | Mapping[str, object]
"""What is sent once a token is a mapping, built and encoded in a fraction of a model's time; in it, what is
not there is not said, while a model leaves out what is None."""


def encoded(record: Record) -> bytes:
    """JSON."""
    if isinstance(record, BaseModel):
        return record.model_dump_json(exclude_none=True).encode()
    return msgspec.json.encode(record)


async def whole(request: Request, answer: Coroutine[Any, Any, Record]) -> Response:
    """One JSON object, when `answer` has it; the work is cancelled if the client goes away."""
    result = await while_connected(request.receive, answer)
    if result is None:
        return Response(status_code=_CLIENT_GONE)
    body = encoded(result) if isinstance(result, BaseModel) else await _in_pieces(result)
    return Response(body, media_type="application/json")


async def _in_pieces(record: Mapping[str, object]) -> bytes:
    """JSON. Others have their turns between pieces of its lists, and of what is made as it is read: thousands
    of vectors take long, and so does each copy of them."""
    pieces: list[bytes] = []
    for name, value in record.items():
        pieces += (b",", msgspec.json.encode(name), b":")
        if isinstance(value, list | Iterator):
            items, spelled = iter(value), list[bytes]()
            while some := list(islice(items, _AT_ONCE)):
                spelled += (b",", msgspec.json.encode(some)[1:-1])
                await asyncio.sleep(0)
            pieces += (b"[", *spelled[1:], b"]")
        else:
            pieces.append(msgspec.json.encode(value))
    return b"".join((b"{", *pieces[1:], b"}"))


async def while_connected(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """What `work` returns, or None if the client went away first: then it is cancelled and has ended."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Stream(JSONResponse, ABC):
    """One record after the other. An error before the first record is raised, so that the client gets its
    real status; a later one becomes the last record. Subclasses say how records look on the wire.

    A kind of JSONResponse because FastAPI then describes the records in the OpenAPI document.
    """

    media_type = "application/x-ndjson"
    ending = b""
    """Sent after the last record of a stream that did not fail."""
    waiting = b""
    """Sent for each second without a record."""

    def __init__(self, records: AsyncGenerator[Record], status_code: int = 200) -> None:
        self.status_code = status_code
        self.background = None
        self._records = records
        self._is_silent = True
        self.init_headers({"Cache-Control": "no-cache"})

    def frame(self, record: Record) -> bytes:
        return encoded(record) + b"\n"

    @abstractmethod
    def failure(self, error: NybbleError) -> bytes:
        """The last record of a stream that failed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await while_connected(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        async with aclosing(self._records) as records:
            first = await anext(records)
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            beating = asyncio.ensure_future(self._beat(send))
            try:
                last = await self._send_records(first, records, send)
            finally:
                beating.cancel()
            await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _send_records(self, first: Record, rest: AsyncGenerator[Record], send: Send) -> bytes:
        """All records; returns what ends the stream."""
        try:
            await self._put(self.frame(first), send)
            async for record in rest:
                await self._put(self.frame(record), send)
        except NybbleError as error:
            return self.failure(error)
        except Exception:  # noqa: BLE001 - the answer has begun: nobody else can tell the client
            _log.exception("a stream failed")
            return self.failure(errors.INTERNAL)
        return self.ending

    async def _put(self, data: bytes, send: Send) -> None:
        self._is_silent = False
        await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _beat(self, send: Send) -> None:
        while self.waiting:
            self._is_silent = True
            await asyncio.sleep(SILENCE_S)
            if self._is_silent:
                await send({"type": "http.response.body", "body": self.waiting, "more_body": True})


class ServerSentEvents(Stream, ABC):
    media_type = "text/event-stream"

    def frame(self, record: Record) -> bytes:
        return b"data: " + encoded(record) + b"\n\n"
