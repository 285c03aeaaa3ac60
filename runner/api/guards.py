"""What a request must pass before any route sees it: host, origin, size and speed of its body.

A web page in the user's browser can reach loopback. Two rules keep it out, whatever address we listen on:

* The host name must be a loopback name, the name we were told to listen on, or the address the connection
  came in on. A page that rebinds its own name to 127.0.0.1 still sends its own name. Any port is good: it
  says nothing about who asks, and people forward ports.
* A request that a browser marks with an `Origin` must come from a page on loopback; one without, but marked
  as `Sec-Fetch-Site: cross-site` (an image, a link, a form), is refused.
"""

from __future__ import annotations

import asyncio
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelstore.errors import NybbleError
from runner.api.errors import Refused, response

BODY_LIMIT_BYTES = 64 * 1024 * 1024
BODY_PAUSE_S = 30.0

LOOPBACK = r"(?:localhost|(?:[a-z0-9-]+\.)+localhost|127\.0\.0\.1|\[::1\])"
LOOPBACK_ORIGIN = rf"https?://{LOOPBACK}(?::\d{{1,5}})?"
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?")
_LOOPBACK = re.compile(LOOPBACK)
_LOOPBACK_ORIGIN = re.compile(LOOPBACK_ORIGIN)


class Guards:
    """ASGI middleware. Reads the whole body, since every route needs all of it, and hands it on as JSON
    whatever its Content-Type: `curl -d` calls it a form, and the origin check has stopped real forms already.
    """

    def __init__(self, app: ASGIApp, listen_host: str) -> None:
        self._app = app
        self._listen_host = listen_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = Headers(scope=scope)
            check_host(headers.getlist("host"), {self._listen_host, _local_address(scope)})
            check_origin(headers)
            body = await _read_body(headers, receive)
        except NybbleError as error:
            # The rest of a body that was refused is still on its way: the connection cannot be used again.
            refusal = response(scope["path"], error, {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        if body is not None:
            await self._app(_as_json(scope) if body else scope, _again(body, receive), send)


def check_host(values: list[str], own: set[str]) -> None:
    """Raises Refused (403) unless there is one Host and it names this machine's loopback or is in `own`."""
    host = _HOST.fullmatch(values[0].lower()) if len(values) == 1 else None
    name = host["name"] if host else None
    if name is None or not (_LOOPBACK.fullmatch(name) or name.strip("[]") in own):
        raise Refused(
            403, "host_not_allowed", "this host name is not allowed", hint="Use localhost or 127.0.0.1"
        )


def check_origin(headers: Headers) -> None:
    """Raises Refused (403) for what a browser sends on behalf of a page that is not on loopback."""
    origins = headers.getlist("origin")
    is_cross_site = not origins and headers.get("sec-fetch-site") == "cross-site"
    if is_cross_site or any(_LOOPBACK_ORIGIN.fullmatch(origin.lower()) is None for origin in origins):
        raise Refused(403, "origin_not_allowed", "web pages from elsewhere may not use nybble")


def _local_address(scope: Scope) -> str:
    server = scope.get("server")
    return str(server[0]) if server else ""


async def _read_body(headers: Headers, receive: Receive) -> bytes | None:
    """The body; None if the client went away. Raises Refused: 413 over the limit, 408 if it stalls."""
    _check_size(int(headers.get("content-length", "0")))
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            message = await asyncio.wait_for(receive(), BODY_PAUSE_S)
        except TimeoutError as error:
            raise Refused(408, "body_timeout", f"the request body stalled for {BODY_PAUSE_S:g} s") from error
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        _check_size(size)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _check_size(size_bytes: int) -> None:
    if size_bytes > BODY_LIMIT_BYTES:
        limit = BODY_LIMIT_BYTES // 2**20
        raise Refused(413, "body_too_large", f"the request body is larger than {limit} MiB")


def _as_json(scope: Scope) -> Scope:
    scope = {**scope, "headers": list(scope["headers"])}
    MutableHeaders(scope=scope)["content-type"] = "application/json"
    return scope


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once and then what the connection says: that the client went away."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
