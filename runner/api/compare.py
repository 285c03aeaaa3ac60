"""Comparisons over HTTP: `/nybble/compare`, `/nybble/comparisons`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from runner.api import build_validators
from runner.api.fields import ParsingRoute, service_of
from runner.api.native import EventStream
from runner.wire import compare as types
from runner.wire.compare import CompareEvent, CompareRequest, Comparison, ComparisonInfo

build_validators(types)

router = APIRouter(prefix="/nybble", tags=["compare"], route_class=ParsingRoute)

# SQLite's integers end here.
ComparisonId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.post("/compare", response_model=CompareEvent, response_class=EventStream)
async def compare(request: Request, body: CompareRequest) -> Response:
    return EventStream(service_of(request).comparisons.run(body))


@router.get("/comparisons")
async def comparisons(request: Request) -> list[ComparisonInfo]:
    return await service_of(request).comparisons.all()


@router.get("/comparisons/{comparison_id}")
async def comparison(request: Request, comparison_id: ComparisonId) -> Comparison:
    return await service_of(request).comparisons.one(comparison_id)
