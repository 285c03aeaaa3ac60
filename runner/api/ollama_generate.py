"""Ollama's dialect: `/api/generate` and `/api/chat`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from modelstore.errors import NybbleError
from runner import wire
from runner.api import ollama_records as records
from runner.api import ollama_requests as requests
from runner.api.errors import BadField, ollama_answer
from runner.api.fields import ParsingRoute, events_of, refuse
from runner.api.stream import Stream, collected, until_done, whole
from runner.report import Event

router = APIRouter(tags=["ollama"], route_class=ParsingRoute)

_Record = records.GenerateRecord | records.ChatRecord
_Shape = Callable[[str, str], _Record]

_ABSENT = {"think": "thinking"}
ABSENT_IN_GENERATE = _ABSENT | {
    "suffix": "insert",
    "images": "images",
    "template": "templates in requests",
    "context": "context in requests",
}
ABSENT_IN_CHAT = _ABSENT | {"tools": "tools"}
_ABSENT_IN_MESSAGE = {"images": "images", "tool_calls": "tools"}


class OllamaStream(Stream):
    def failure(self, error: NybbleError) -> bytes:
        return self.frame(ollama_answer(error))


@router.post("/api/generate", response_model=records.GenerateRecord, response_class=OllamaStream)
async def generate(request: Request, body: requests.GenerateBody) -> Response:
    refuse(body, body.model, ABSENT_IN_GENERATE)
    if body.raw and body.system:
        raise BadField("raw", "raw mode does not support system")
    asked = body.asked(prompt=body.prompt, system=body.system or None, raw=bool(body.raw))
    return await _answer(request, asked, body, records.generate_record)


@router.post("/api/chat", response_model=records.ChatRecord, response_class=OllamaStream)
async def chat(request: Request, body: requests.ChatBody) -> Response:
    refuse(body, body.model, ABSENT_IN_CHAT)
    messages = body.messages or []
    for index, message in enumerate(messages):
        refuse(message, body.model, _ABSENT_IN_MESSAGE, f"messages[{index}].")
    said = [wire.Message(role=each["role"], content=each.get("content") or "") for each in messages]
    return await _answer(request, body.asked(messages=said), body, records.chat_record)


async def _answer(
    request: Request, asked: wire.GenerateRequest, body: requests.Generation, shape: _Shape
) -> Response:
    events = events_of(request, asked, "format")
    if body.stream is False:
        return await whole(request, _whole(events, body.model, shape))
    return OllamaStream(_records(events, body.model, shape))


async def _records(events: AsyncGenerator[Event], model: str, shape: _Shape) -> AsyncGenerator[_Record]:
    """One record for each piece of text and one for the end; waiting has no record in this dialect."""
    async with aclosing(until_done(events)) as running:
        async for event in running:
            if isinstance(event, wire.TextDelta) and (event.text or event.logprobs):
                record = shape(event.text, model)
                if event.logprobs:
                    record["logprobs"] = records.logprobs(event.logprobs)
                yield record
            elif isinstance(event, wire.Done):
                record = shape("", model)
                records.close(record, event)
                yield record


async def _whole(events: AsyncGenerator[Event], model: str, shape: _Shape) -> _Record:
    text, tokens, done = await collected(events)
    record = shape(text, model)
    records.close(record, done)
    if tokens:
        record["logprobs"] = records.logprobs(tokens)
    return record
