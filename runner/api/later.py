"""Routes whose types take long to import: they are loaded at the first request, or for the document."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runner.api.errors import NybbleAnswer


class LateApp(FastAPI):
    """An application with `/nybble/compare…`, of which nothing is imported before it is used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for path in ("/nybble/compare", "/nybble/comparisons", "/nybble/comparisons/{number}"):
            # An endpoint that is no function gets all methods.
            self.router.routes.append(Route(path, _Compare(), include_in_schema=False))

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            from runner.api import compare

            self.include_router(compare.router, responses={"default": {"model": NybbleAnswer}})
        return super().openapi()


class _Compare:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from runner.api import compare

        await compare.router(scope, receive, send)
