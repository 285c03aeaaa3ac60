"""Ollama's dialect: `/api/embed`, and `/api/embeddings` as it was before."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner import wire
from runner.api.fields import Body, KeepAlive, ParsingRoute, as_list, service_of
from runner.api.ollama_records import nanoseconds
from runner.api.ollama_requests import Options
from runner.api.stream import whole

router = APIRouter(tags=["ollama"], route_class=ParsingRoute)

Texts = Annotated[
    Annotated[list[str], Field(max_length=wire.MOST_INPUTS)] | None,
    BeforeValidator(as_list, json_schema_input_type=str | list[str] | None),
]


class _EmbeddingBody(Body):
    model: str
    options: Options | None = None
    keep_alive: KeepAlive = None

    def asked(self, inputs: list[str], **how: Any) -> wire.EmbedRequest:
        """Raises BadField."""
        options = (self.options or Options()).ours()
        return wire.EmbedRequest(
            model=self.model, inputs=inputs, options=options, keep_alive_s=self.keep_alive, **how
        )


class LegacyBody(_EmbeddingBody):
    prompt: str | None = None


class EmbedBody(_EmbeddingBody):
    input: Texts = None
    truncate: bool | None = None
    dimensions: int | None = Field(None, ge=0)


class Embedded(TypedDict):
    """`truncated` are the indexes of inputs that were cut, if any were."""

    model: str
    embeddings: list[list[float]]
    truncated: NotRequired[list[int]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class LegacyEmbedded(TypedDict):
    """`truncated` is [0] if the prompt was cut."""

    embedding: list[float]
    truncated: NotRequired[list[int]]


@router.post("/api/embed", response_model=Embedded)
async def embed(request: Request, body: EmbedBody) -> Response:
    return await whole(request, _embedded(request, body))


@router.post("/api/embeddings", response_model=LegacyEmbedded)
async def embeddings(request: Request, body: LegacyBody) -> Response:
    return await whole(request, _legacy(request, body))


async def _embedded(request: Request, body: EmbedBody) -> Embedded:
    # One empty text is none, as in Ollama.
    inputs = [] if body.input == [""] else body.input or []
    asked = body.asked(inputs, truncate=body.truncate is not False, dimensions=body.dimensions or None)
    done = await service_of(request).embed(asked)
    answer = Embedded(
        model=body.model,
        embeddings=done.vectors,
        total_duration=nanoseconds(done.timings.total_s),
        load_duration=nanoseconds(done.timings.load_s),
        prompt_eval_count=sum(done.token_counts),
    )
    return answer | {"truncated": done.truncated} if done.truncated else answer


async def _legacy(request: Request, body: LegacyBody) -> LegacyEmbedded:
    done = await service_of(request).embed(body.asked([body.prompt] if body.prompt else []))
    answer = LegacyEmbedded(embedding=done.vectors[0] if done.vectors else [])
    return answer | {"truncated": done.truncated} if done.truncated else answer
