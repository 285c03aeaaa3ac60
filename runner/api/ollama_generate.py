"""Ollama's dialect: `/api/generate` and `/api/chat`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response

from modelstore.errors import NybbleError
from runner import wire
from runner.api import ollama_types as types
from runner.api.errors import BadField, ollama_answer
from runner.api.fields import refuse, service_of
from runner.api.stream import Stream, until_done, whole, whole_text

router = APIRouter(tags=["ollama"])

_Events = AsyncGenerator[wire.Queued | wire.Loading | wire.Prefilling | wire.TextDelta | wire.Done]
_Shape = Callable[..., types.Record]

_ABSENT = {
    "format": "structured outputs",
    "think": "thinking",
    "logprobs": "logprobs",
    "top_logprobs": "logprobs",
}
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


@router.post("/api/generate", response_model=types.GenerateRecord, response_class=OllamaStream)
async def generate(request: Request, body: types.GenerateBody) -> Response:
    refuse(body, body.model, ABSENT_IN_GENERATE)
    if body.raw and body.system:
        raise BadField("raw", "raw mode does not support system")
    asked = _asked(body, prompt=body.prompt, system=body.system or None, raw=bool(body.raw))
    return await _answer(request, asked, body, _generate_record)


@router.post("/api/chat", response_model=types.ChatRecord, response_class=OllamaStream)
async def chat(request: Request, body: types.ChatBody) -> Response:
    refuse(body, body.model, ABSENT_IN_CHAT)
    messages = body.messages or []
    for index, message in enumerate(messages):
        refuse(message, body.model, _ABSENT_IN_MESSAGE, f"messages[{index}].")
    asked = _asked(
        body, messages=[wire.Message(role=each.role, content=each.content or "") for each in messages]
    )
    return await _answer(request, asked, body, _chat_record)


def _asked(body: types.Generation, **what: Any) -> wire.GenerateRequest:
    options = body.options or types.Options()
    return wire.GenerateRequest(
        model=body.model, options=options.ours(), keep_alive_s=body.keep_alive, **what
    )


async def _answer(
    request: Request, asked: wire.GenerateRequest, body: types.Generation, shape: _Shape
) -> Response:
    events = service_of(request).generate(asked)
    if body.stream is False:
        return await whole(request, _collected(events, body.model, shape))
    return OllamaStream(_records(events, body.model, shape))


async def _records(events: _Events, model: str, shape: _Shape) -> AsyncGenerator[types.Record]:
    """One record for each piece of text and one for the end; waiting has no record in this dialect."""
    async with aclosing(until_done(events)) as running:
        async for event in running:
            if isinstance(event, wire.TextDelta) and event.text:
                yield shape(event.text, model=model, done=False)
            elif isinstance(event, wire.Done):
                yield shape("", model=model, done=True, **types.metrics(event))


async def _collected(events: _Events, model: str, shape: _Shape) -> types.Record:
    text, done = await whole_text(events)
    return shape(text, model=model, done=True, **types.metrics(done))


def _generate_record(text: str, **rest: Any) -> types.Record:
    return types.GenerateRecord(response=text, created_at=types.now(), **rest)


def _chat_record(text: str, **rest: Any) -> types.Record:
    message = types.AssistantMessage(content=text)
    return types.ChatRecord(message=message, created_at=types.now(), **rest)
