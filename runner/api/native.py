"""nybble's own dialect: `/nybble/*`, the types of `runner.wire`, streams of one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from modelstore.errors import NybbleError
from runner import wire
from runner.api.errors import nybble_answer
from runner.api.fields import ParsingRoute, service_of
from runner.api.stream import Stream, until_done, whole

router = APIRouter(prefix="/nybble", tags=["nybble"], route_class=ParsingRoute)


class EventStream(Stream):
    """Every event as it comes, waiting included; an ErrorEvent ends a stream that failed."""

    def failure(self, error: NybbleError) -> bytes:
        return self.frame(wire.ErrorEvent(error=nybble_answer(error).error))


@router.get("/health")
async def health(request: Request) -> wire.Health:
    return service_of(request).health()


@router.post("/shutdown", status_code=204)
async def shutdown(request: Request) -> None:
    service_of(request).request_shutdown()


@router.get("/models")
async def models(request: Request) -> list[wire.ModelInfo]:
    return await service_of(request).models()


@router.post("/show")
async def show(request: Request, body: wire.NameRequest) -> wire.ModelDetail:
    return await service_of(request).show(body.name)


@router.get("/ps")
async def ps(request: Request) -> list[wire.LoadedModel]:
    return service_of(request).loaded()


@router.post("/remove")
async def remove(request: Request, body: wire.NameRequest) -> wire.RemoveResult:
    return await service_of(request).remove(body.name)


@router.post("/copy", status_code=204)
async def copy(request: Request, body: wire.CopyRequest) -> None:
    await service_of(request).copy(body.source, body.destination)


@router.post("/stop", status_code=204)
async def stop(request: Request, body: wire.NameRequest) -> None:
    await service_of(request).stop(body.name)


@router.post("/pull", response_model=wire.JobEvent, response_class=EventStream)
async def pull(request: Request, body: wire.PullRequest) -> Response:
    return EventStream(until_done(service_of(request).pull(body)))


@router.post("/verify", response_model=wire.JobEvent, response_class=EventStream)
async def verify(request: Request, body: wire.NameRequest) -> Response:
    return EventStream(until_done(service_of(request).verify(body.name)))


@router.post("/quantize", response_model=wire.JobEvent, response_class=EventStream)
async def quantize(request: Request, body: wire.QuantizeRequest) -> Response:
    return EventStream(until_done(service_of(request).makings.quantize(body)))


@router.post("/imatrix", response_model=wire.JobEvent, response_class=EventStream)
async def imatrix(request: Request, body: wire.ImatrixRequest) -> Response:
    return EventStream(until_done(service_of(request).makings.imatrix(body)))


@router.post("/generate", response_model=wire.GenerationEvent, response_class=EventStream)
async def generate(request: Request, body: wire.GenerateRequest) -> Response:
    return EventStream(until_done(service_of(request).generate(body)))


@router.post("/embed", response_model=wire.Embeddings)
async def embed(request: Request, body: wire.EmbedRequest) -> Response:
    return await whole(request, _embedded(request, body))


async def _embedded(request: Request, body: wire.EmbedRequest) -> Mapping[str, object]:
    done = await service_of(request).embed(body)
    return done.model_dump(exclude={"vectors"}, exclude_none=True) | {"vectors": done.vectors}
