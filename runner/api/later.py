"""What takes long to import or to make comes at its first use, and not on the loop."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runner.api.errors import NybbleAnswer


class LateApp(FastAPI):
    """An application with `/nybble/compare…` and a document, of which nothing is there before it is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(openapi_url=None, **options)
        self.router.routes.append(Route("/openapi.json", self._document, include_in_schema=False))
        for path in ("/nybble/compare", "/nybble/comparisons", "/nybble/comparisons/{number}"):
            # An endpoint that is no function gets all methods.
            self.router.routes.append(Route(path, _Compare(), include_in_schema=False))

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.include_router(_compare(), responses={"default": {"model": NybbleAnswer}})
        return super().openapi()

    async def _document(self, _request: Request) -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(self.openapi))


class _Compare:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await asyncio.to_thread(_compare))(scope, receive, send)


def _compare() -> APIRouter:
    router: APIRouter = import_module("runner.api.compare").router
    return router
