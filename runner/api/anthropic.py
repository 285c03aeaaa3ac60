"""Anthropic's dialect: `/v1/messages`, `/v1/messages/count_tokens`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from modelstore.errors import NybbleError
from runner import wire
from runner.api.anthropic_answers import Answer, Message, TokenCount
from runner.api.anthropic_requests import CountBody, MessagesBody
from runner.api.errors import anthropic_answer
from runner.api.fields import ParsingRoute, events_of, service_of
from runner.api.stream import ALSO_STREAMS, Record, ServerSentEvents, whole

router = APIRouter(prefix="/v1/messages", tags=["anthropic"], route_class=ParsingRoute)


class AnthropicStream(ServerSentEvents):
    waiting = b'event: ping\ndata: {"type":"ping"}\n\n'

    def frame(self, record: Record) -> bytes:
        """The event's name is that of its record's type."""
        return f"event: {dict(record)['type']}\n".encode() + super().frame(record)

    def failure(self, error: NybbleError) -> bytes:
        return self.frame(anthropic_answer(error))


@router.post("", response_model=Message, responses=ALSO_STREAMS)
async def messages(request: Request, body: MessagesBody) -> Response:
    events = events_of(request, body.asked(), "output_config.format")
    answer = Answer(body.model, body.max_tokens)
    if body.stream:
        return AnthropicStream(answer.stream(events))
    return await whole(request, answer.whole(events))


@router.post("/count_tokens", response_model=TokenCount)
async def count_tokens(request: Request, body: CountBody) -> Response:
    return await whole(request, _count(request, body))


async def _count(request: Request, body: CountBody) -> TokenCount:
    asked = wire.GenerateRequest(model=body.model, messages=body.conversation())
    return {"input_tokens": await service_of(request).count_tokens(asked)}
