"""The body of a request as values: parsed once, and strictly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from modelstore.errors import UserError


class ParsingRoute(APIRoute):
    """Raises UserError for a body that is no JSON, before the web framework sees it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def parse_and_handle(request: Request) -> Response:
            if body := await request.body():
                # Where the framework's own parser leaves what it has read.
                request._json = _parsed(body)
                await asyncio.sleep(0)  # a large one took its time, and takes more
            return await handle(request)

        return parse_and_handle


def _parsed(body: bytes) -> Any:
    """Raises UserError also for what Python's parser lets pass, or takes badly: half surrogates, which no
    UTF-8 answer can repeat, nesting deeper than 201, numbers of thousands of digits."""
    try:
        return from_json(body)
    except ValueError as error:
        problem = str(error).replace("recursion limit exceeded", "nested deeper than the limit of 201 levels")
        raise UserError(f"invalid JSON: {problem}") from error
