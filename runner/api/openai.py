"""OpenAI's dialect: `/v1/models`, `/v1/chat/completions`, `/v1/completions`."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from modelstore.errors import NybbleError
from runner import wire
from runner.api import openai_types as types
from runner.api.errors import BadField, Unsupported, openai_answer
from runner.api.fields import refuse, service_of
from runner.api.stream import Stream, until_done, whole, whole_text

router = APIRouter(prefix="/v1", tags=["openai"])

_Events = AsyncGenerator[wire.Queued | wire.Loading | wire.Prefilling | wire.TextDelta | wire.Done]

_ABSENT = {"logprobs": "logprobs", "logit_bias": "logit_bias"}
ABSENT_IN_CHAT = _ABSENT | {
    "top_logprobs": "logprobs",
    "tools": "tools",
    "functions": "tools",
    "audio": "audio",
    "prediction": "predicted outputs",
    "web_search_options": "web search",
}
ABSENT_IN_COMPLETIONS = _ABSENT | {"suffix": "insert", "echo": "echo"}
_ABSENT_IN_MESSAGE = {"tool_calls": "tools", "function_call": "tools", "audio": "audio"}
_ALSO_STREAMS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


class OpenAIStream(Stream):
    media_type = "text/event-stream"
    ending = b"data: [DONE]\n\n"
    # A comment: clients skip it.
    waiting = b": waiting\n\n"

    def frame(self, record: BaseModel) -> bytes:
        # finish_reason must be there as null; usage must not, unless it was asked for.
        unset = {"usage"} if getattr(record, "usage", None) is None else set()
        return b"data: " + record.model_dump_json(exclude=unset).encode() + b"\n\n"

    def failure(self, error: NybbleError) -> bytes:
        return self.frame(openai_answer(error))


@dataclass(frozen=True, slots=True)
class _Head:
    """What all chunks of one answer have in common."""

    model: str
    id: str
    created: int = field(default_factory=lambda: int(time.time()))

    def fields(self) -> dict[str, Any]:
        return {"id": self.id, "created": self.created, "model": self.model}


@router.get("/models")
async def models(request: Request) -> types.ModelList:
    return types.ModelList(data=[_model(info) for info in await service_of(request).models()])


@router.get("/models/{name:path}")
async def model(request: Request, name: str) -> types.Model:
    return _model(await service_of(request).show(name))


@router.post("/chat/completions", response_model=types.ChatCompletion, responses=_ALSO_STREAMS)
async def chat_completions(request: Request, body: types.ChatBody) -> Response:
    _check_chat(body)
    messages = [message.ours() for message in body.messages]
    events = service_of(request).generate(
        wire.GenerateRequest(model=body.model, messages=messages, options=body.ours())
    )
    head = _Head(body.model, f"chatcmpl-{uuid.uuid4().hex}")
    if body.stream:
        return OpenAIStream(_chat_chunks(events, head, body.includes_usage))
    return await whole(request, _chat_completion(events, head), exclude_none=False)


@router.post("/completions", response_model=types.Completion, responses=_ALSO_STREAMS)
async def completions(request: Request, body: types.CompletionBody) -> Response:
    refuse(body, body.model, ABSENT_IN_COMPLETIONS)
    _check_one_choice("n", body.n, body.model)
    _check_one_choice("best_of", body.best_of, body.model)
    events = service_of(request).generate(
        wire.GenerateRequest(model=body.model, prompt=body.prompt, raw=True, options=body.ours())
    )
    head = _Head(body.model, f"cmpl-{uuid.uuid4().hex}")
    if body.stream:
        return OpenAIStream(_text_chunks(events, head, body.includes_usage))
    return await whole(request, _completion(events, head), exclude_none=False)


def _check_chat(body: types.ChatBody) -> None:
    """Raises Unsupported or BadField for what cannot be done, rather than doing something else."""
    refuse(body, body.model, ABSENT_IN_CHAT)
    _check_one_choice("n", body.n, body.model)
    if not body.messages:
        raise BadField("messages", "at least one message is needed")
    if body.response_format and body.response_format.get("type") != "text":
        raise Unsupported("response_format", body.model, "structured outputs")
    if body.reasoning_effort not in (None, "none"):
        raise Unsupported("reasoning_effort", body.model, "thinking")
    if body.modalities and body.modalities != ["text"]:
        raise Unsupported("modalities", body.model, "audio")
    for index, message in enumerate(body.messages):
        refuse(message, body.model, _ABSENT_IN_MESSAGE, f"messages[{index}].")


def _check_one_choice(name: str, count: int | None, model: str) -> None:
    if count not in (None, 1):
        raise Unsupported(name, model, "several choices")


async def _chat_completion(events: _Events, head: _Head) -> types.ChatCompletion:
    text, done = await whole_text(events)
    choice = types.ChatChoice(
        message=types.ChatMessage(content=text), finish_reason=types.finish_reason(done)
    )
    return types.ChatCompletion(**head.fields(), choices=[choice], usage=types.Usage.of(done.usage))


async def _chat_chunks(
    events: _Events, head: _Head, includes_usage: bool
) -> AsyncGenerator[types.ChatCompletionChunk]:
    """The role as soon as the prompt is being worked on: from then on the client hears that we are alive."""

    def chunk(delta: dict[str, str], reason: str | None = None) -> types.ChatCompletionChunk:
        choice = types.DeltaChoice(delta=delta, finish_reason=reason)
        return types.ChatCompletionChunk(**head.fields(), choices=[choice])

    has_begun = False
    async with aclosing(until_done(events)) as running:
        async for event in running:
            if isinstance(event, wire.Queued | wire.Loading):
                continue
            if not has_begun:
                has_begun = True
                yield chunk({"role": "assistant", "content": ""})
            if isinstance(event, wire.TextDelta) and event.text:
                yield chunk({"content": event.text})
            elif isinstance(event, wire.Done):
                yield chunk({}, types.finish_reason(event))
                if includes_usage:
                    yield types.ChatCompletionChunk(
                        **head.fields(), choices=[], usage=types.Usage.of(event.usage)
                    )


async def _completion(events: _Events, head: _Head) -> types.Completion:
    text, done = await whole_text(events)
    choice = types.TextChoice(text=text, finish_reason=types.finish_reason(done))
    return types.Completion(**head.fields(), choices=[choice], usage=types.Usage.of(done.usage))


async def _text_chunks(
    events: _Events, head: _Head, includes_usage: bool
) -> AsyncGenerator[types.Completion]:
    def chunk(text: str, reason: str | None = None) -> types.Completion:
        return types.Completion(**head.fields(), choices=[types.TextChoice(text=text, finish_reason=reason)])

    async with aclosing(until_done(events)) as running:
        async for event in running:
            if isinstance(event, wire.TextDelta) and event.text:
                yield chunk(event.text)
            elif isinstance(event, wire.Done):
                yield chunk("", types.finish_reason(event))
                if includes_usage:
                    yield types.Completion(**head.fields(), choices=[], usage=types.Usage.of(event.usage))


def _model(info: wire.ModelInfo) -> types.Model:
    return types.Model(id=info.name, created=int(info.modified_at.timestamp()))
