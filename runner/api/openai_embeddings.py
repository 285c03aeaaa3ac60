"""OpenAI's `/v1/embeddings`, and `/v1/rerank` in the shape that Jina and Cohere gave it."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NotRequired

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner import wire
from runner.api.fields import Body, ParsingRoute, Texts, service_of
from runner.api.stream import whole

router = APIRouter(tags=["openai"], route_class=ParsingRoute)


def _document(value: Any) -> Any:
    """Cohere allows objects with a text."""
    return value.get("text") if isinstance(value, dict) else value


Document = Annotated[str, BeforeValidator(_document, json_schema_input_type=str | dict[str, str])]


class EmbeddingsBody(Body):
    model: str
    input: Annotated[Texts, Field(max_length=wire.MOST_INPUTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)
    truncate: bool | None = None


class RerankBody(Body):
    model: str
    query: str
    documents: list[Document] = Field(min_length=1, max_length=wire.MOST_INPUTS)
    top_n: int | None = Field(None, ge=1)
    return_documents: bool | None = None
    truncate: bool | None = None


class Usage(TypedDict):
    prompt_tokens: int
    total_tokens: int


class Embedding(TypedDict):
    """`embedding` in base64 are 32-bit floats, little-endian."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(TypedDict):
    """`truncated` are the indexes of inputs that were cut, if any were."""

    object: Literal["list"]
    model: str
    data: Iterable[Embedding]
    usage: Usage
    truncated: NotRequired[list[int]]


class RankedText(TypedDict):
    text: str


class Ranked(TypedDict):
    index: int
    relevance_score: float
    document: NotRequired[RankedText]


class Ranking(TypedDict):
    """The best first. `truncated` are the indexes of documents that were cut, if any were."""

    object: Literal["list"]
    model: str
    results: list[Ranked]
    usage: Usage
    truncated: NotRequired[list[int]]


@router.post("/v1/embeddings", response_model=Embeddings)
async def embeddings(request: Request, body: EmbeddingsBody) -> Response:
    return await whole(request, _embeddings(request, body))


@router.post("/v1/rerank", response_model=Ranking)
@router.post("/v2/rerank", response_model=Ranking)
@router.post("/rerank", response_model=Ranking)
async def rerank(request: Request, body: RerankBody) -> Response:
    return await whole(request, _ranking(request, body))


async def _embeddings(request: Request, body: EmbeddingsBody) -> Embeddings:
    """Texts that are too long are refused, as by OpenAI, unless the request allows to cut them."""
    asked = wire.EmbedRequest(
        model=body.model, inputs=body.input, truncate=bool(body.truncate), dimensions=body.dimensions
    )
    done = await service_of(request).embed(asked)
    is_base64 = body.encoding_format == "base64"
    data = (
        Embedding(object="embedding", index=index, embedding=_in_base64(vector) if is_base64 else vector)
        for index, vector in enumerate(done.vectors)
    )
    answer = Embeddings(object="list", model=body.model, data=data, usage=_usage(done))
    return answer | {"truncated": done.truncated} if done.truncated else answer


async def _ranking(request: Request, body: RerankBody) -> Ranking:
    """Documents that are too long are cut unless the request forbids it."""
    truncate = body.truncate is not False
    asked = wire.EmbedRequest(model=body.model, inputs=body.documents, query=body.query, truncate=truncate)
    done = await service_of(request).embed(asked)
    scores = [score for (score,) in done.vectors]
    best = sorted(range(len(scores)), key=lambda index: -scores[index])[: body.top_n]
    results = [Ranked(index=index, relevance_score=scores[index]) for index in best]
    if body.return_documents:
        results = [each | {"document": RankedText(text=body.documents[each["index"]])} for each in results]
    answer = Ranking(object="list", model=body.model, results=results, usage=_usage(done))
    return answer | {"truncated": done.truncated} if done.truncated else answer


def _usage(done: wire.Embeddings) -> Usage:
    return Usage(prompt_tokens=sum(done.token_counts), total_tokens=sum(done.token_counts))


def _in_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
