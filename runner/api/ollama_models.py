"""Ollama's dialect: which models there are, fetching and removing them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta
from importlib import metadata

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from modelstore import names
from runner import wire
from runner.api import ollama_types as types
from runner.api.errors import BadField
from runner.api.fields import ParsingRoute, service_of
from runner.api.ollama_generate import OllamaStream
from runner.api.stream import until_done, whole

router = APIRouter(tags=["ollama"], route_class=ParsingRoute)

# Ollama's word for "kept loaded until told otherwise" is a date that nobody will see.
_FOREVER = timedelta(days=100 * 365)
_CAPABILITIES = {"generate": "completion", "embed": "embedding", "rerank": "rerank"}


@router.head("/", include_in_schema=False)
@router.get("/", response_class=PlainTextResponse)
async def root() -> str:
    """Clients look for exactly this text to know that the server is up."""
    return "Ollama is running"


@router.head("/api/version", include_in_schema=False)
@router.get("/api/version")
async def version() -> types.Version:
    return types.Version(nybble=metadata.version("nybble"))


@router.head("/api/tags", include_in_schema=False)
@router.get("/api/tags")
async def tags(request: Request) -> types.Models:
    return types.Models(models=[_model(info) for info in await service_of(request).models()])


@router.get("/api/ps")
async def ps(request: Request) -> types.LoadedModels:
    service = service_of(request)
    infos = {info.name: info for info in await service.models()}
    loaded = [_loaded(model, infos.get(model.name)) for model in service.loaded()]
    return types.LoadedModels(models=sorted(loaded, key=lambda model: model.expires_at, reverse=True))


@router.post("/api/show", response_model_exclude_none=True)
async def show(request: Request, body: types.NameBody) -> types.Show:
    detail = await service_of(request).show(_name(body))
    return types.Show(
        license=detail.license,
        modelfile=f"FROM {detail.name}\n",
        template=detail.chat_template or "",
        details=types.details(detail),
        model_info=dict(detail.metadata),
        tensors=detail.tensors,
        capabilities=[_CAPABILITIES[detail.purpose]],
        modified_at=detail.modified_at,
    )


@router.post("/api/pull", response_model=types.Progress, response_class=OllamaStream)
async def pull(request: Request, body: types.PullBody) -> Response:
    name = _name(body)
    if isinstance(names.parse(name), names.LocalFile):
        raise BadField("model", "is a path", hint="Files of this computer come in with `nybble pull`")
    events = service_of(request).pull(wire.PullRequest(name=name))
    if body.stream is False:
        return await whole(request, _last(_progress(events)))
    return OllamaStream(_progress(events))


@router.delete("/api/delete")
async def delete(request: Request, body: types.NameBody) -> Response:
    await service_of(request).remove(_name(body))
    return Response()


@router.post("/api/copy")
async def copy(request: Request, body: types.CopyBody) -> Response:
    await service_of(request).copy(body.source, body.destination)
    return Response()


def _name(body: types.NameBody) -> str:
    if not body.either:
        raise BadField("model", "model is required")
    return body.either


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")


def _model(info: wire.ModelInfo) -> types.Model:
    return types.Model(
        name=info.name,
        model=info.name,
        modified_at=info.modified_at,
        size=info.size_bytes,
        digest=_hex(info.digest),
        details=types.details(info),
    )


def _loaded(model: wire.LoadedModel, info: wire.ModelInfo | None) -> types.LoadedModel:
    return types.LoadedModel(
        name=model.name,
        model=model.name,
        size=model.memory_bytes or model.size_bytes,
        digest=_hex(model.digest),
        details=types.details(info),
        expires_at=model.expires_at or types.now() + _FOREVER,
        size_vram=model.gpu_memory_bytes or 0,
        context_length=model.context_length,
    )


async def _progress(
    events: AsyncGenerator[wire.JobProgress | wire.JobDone],
) -> AsyncGenerator[types.Progress]:
    async for event in until_done(events):
        if isinstance(event, wire.JobDone):
            yield types.Progress(status="success")
        else:
            yield types.Progress(
                status=_status(event),
                digest=event.digest,
                total=event.total_bytes,
                completed=event.completed_bytes,
            )


def _status(event: wire.JobProgress) -> str:
    """Clients show one bar for each `pulling <start of the digest>`."""
    if event.phase == "downloading" and event.digest:
        return f"pulling {_hex(event.digest)[:12]}"
    return event.phase


async def _last(records: AsyncGenerator[types.Progress]) -> types.Progress:
    async for record in records:
        last = record
    return last
