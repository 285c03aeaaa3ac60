"""OpenAI's dialect: `/v1/models`, `/v1/chat/completions`, `/v1/completions`."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from modelstore.errors import NybbleError
from runner import wire
from runner.api import openai_requests as requests
from runner.api.choices import numbered
from runner.api.errors import BadField, Unsupported, openai_answer
from runner.api.fields import ParsingRoute, events_of, refuse, service_of
from runner.api.openai_answers import Answers, ChatAnswers, ChatCompletion, Completion, TextAnswers
from runner.api.stream import ALSO_STREAMS, ServerSentEvents, whole

router = APIRouter(prefix="/v1", tags=["openai"], route_class=ParsingRoute)

ABSENT_IN_CHAT = {
    "tools": "tools",
    "functions": "tools",
    "audio": "audio",
    "prediction": "predicted outputs",
    "web_search_options": "web search",
}
ABSENT_IN_COMPLETIONS = {"suffix": "insert", "echo": "echo"}
_ABSENT_IN_MESSAGE = {"tool_calls": "tools", "function_call": "tools", "audio": "audio"}


class OpenAIStream(ServerSentEvents):
    ending = b"data: [DONE]\n\n"
    # A comment: clients skip it.
    waiting = b": waiting\n\n"

    def failure(self, error: NybbleError) -> bytes:
        # Not as a model: its fields that are null must be there.
        return self.frame(openai_answer(error).model_dump())


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "nybble"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models")
async def models(request: Request) -> ModelList:
    return ModelList(data=[_model(info) for info in await service_of(request).models()])


@router.get("/models/{name:path}")
async def model(request: Request, name: str) -> Model:
    return _model(await service_of(request).show(name))


@router.post("/chat/completions", response_model=ChatCompletion, responses=ALSO_STREAMS)
async def chat_completions(request: Request, body: requests.ChatBody) -> Response:
    _check_chat(body)
    asked = body.asked(messages=body.conversation())
    return await _answer(request, body, asked, ChatAnswers)


@router.post("/completions", response_model=Completion, responses=ALSO_STREAMS)
async def completions(request: Request, body: requests.CompletionBody) -> Response:
    refuse(body, body.model, ABSENT_IN_COMPLETIONS)
    asked = [each for prompt in body.prompt for each in body.asked(prompt=prompt, raw=True)]
    return await _answer(request, body, asked, TextAnswers)


def _check_chat(body: requests.ChatBody) -> None:
    """Raises Unsupported or BadField for what cannot be done, rather than doing something else."""
    refuse(body, body.model, ABSENT_IN_CHAT)
    if not body.messages:
        raise BadField("messages", "at least one message is needed")
    if body.reasoning_effort not in (None, "none"):
        raise Unsupported("reasoning_effort", body.model, "thinking")
    if body.modalities and body.modalities != ["text"]:
        raise Unsupported("modalities", body.model, "audio")
    for index, message in enumerate(body.messages):
        refuse(message, body.model, _ABSENT_IN_MESSAGE, f"messages[{index}].")


async def _answer(
    request: Request, body: requests.Generation, asked: list[wire.GenerateRequest], kind: type[Answers]
) -> Response:
    answers = kind(body, len(asked))
    events = numbered([events_of(request, each, body.constrained_by()) for each in asked])
    if body.stream:
        return OpenAIStream(answers.chunks(events))
    return await whole(request, answers.whole(events))


def _model(info: wire.ModelInfo) -> Model:
    return Model(id=info.name, created=int(info.modified_at.timestamp()))
