"""One request and its one answer over HTTP, with next to nothing to import.

Most commands ask the daemon one small thing, and importing the HTTP library, which streams need, would take
as long as all the rest of such a command.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

_CONNECT_S = 5.0


async def exchange(address: str, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Status and content. `address` is `http://host:port`, `body` JSON.

    Raises OSError or EOFError if there is no whole answer, ValueError if it is not HTTP.
    """
    url = urlsplit(address)
    async with asyncio.timeout(_CONNECT_S):
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
    # Version 1.0: an answer in one piece, on a connection of its own.
    head = f"{method} {path} HTTP/1.0\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
    try:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return await _answer(reader)
    except asyncio.LimitOverrunError as error:
        raise ValueError("an endless HTTP header") from error
    finally:
        # Not `close`, which would wait for the rest of a question that was answered before its end.
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().splitlines()
    fields = dict(line.partition(":")[::2] for line in headers)
    length = fields.get("content-length")
    content = await (reader.read() if length is None else reader.readexactly(int(length)))
    version, code, *_ = [*status.split(maxsplit=2), "", ""]
    if not version.startswith("http/"):
        raise ValueError("no HTTP")
    return int(code), content
