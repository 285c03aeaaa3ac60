"""What a web page, or anyone who is not a client on this machine, can do: nothing, on every route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from runner.api.guards import BODY_LIMIT_BYTES
from runner.settings import Settings
from tests.fast.api.scripted import ScriptedService, application, serving

GOOD_HOSTS = [
    "localhost",
    "LOCALHOST:1",
    "127.0.0.1:80",
    "[::1]:11434",
    "app.localhost",
    "a.b.localhost:3000",
]
BAD_HOSTS = [
    "", "evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "localhost.", "notlocalhost", "-",
    "0.0.0.0", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "[::]", "user@localhost", "localhost:x",
    "localhost:", "localhost:123456", "192.168.1.5", "localhost evil.test", "localhost,evil.test",
    "http://localhost", "ⅼocalhost",
]  # fmt: skip
GOOD_ORIGINS = ["http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5173"]
BAD_ORIGINS = [
    "null", "https://evil.test", "http://localhost.evil.test", "http://127.0.0.1@evil.test", "file://",
    "app://x", "chrome-extension://abcdef", "http://localhost:3000, https://evil.test", "http://192.168.1.5",
    "localhost",
]  # fmt: skip


async def raw(client: httpx.AsyncClient, request: bytes) -> int:
    """The status of the answer to the bytes of one request."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(request)
    await writer.drain()
    line = await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


def get(*hosts: str, version: str = "1.1") -> bytes:
    lines = [f"GET /api/version HTTP/{version}", *(f"Host: {host}" for host in hosts), "", ""]
    return "\r\n".join(lines).encode()


def routes() -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = application(Settings().host).openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


async def test_hosts() -> None:
    async with serving(ScriptedService()) as client:
        for host in GOOD_HOSTS:
            assert await raw(client, get(host)) == 200, host
        for host in BAD_HOSTS:
            assert await raw(client, get(host)) in (400, 403), host
        assert await raw(client, get("localhost", "localhost")) in (400, 403)
        assert await raw(client, get()) in (400, 403)
        assert await raw(client, get(version="1.0")) == 403


async def test_the_name_that_we_were_told_to_listen_on_is_a_good_host() -> None:
    async with serving(ScriptedService(settings=Settings(host="my-computer"))) as client:
        assert await raw(client, get("my-computer:11444")) == 200
        assert await raw(client, get("other-computer:11444")) == 403


@pytest.mark.parametrize(
    "headers",
    [{"host": "evil.test"}, {"origin": "https://evil.test"}, {"sec-fetch-site": "cross-site"}],
    ids=lambda headers: next(iter(headers)),
)
async def test_no_route_answers_a_page_from_elsewhere(headers: dict[str, str]) -> None:
    service = ScriptedService()
    known = routes()
    assert len(known) > 25
    async with serving(service) as client:
        for method, path in [*known, ("head", "/"), ("options", "/api/chat"), ("get", "/nowhere")]:
            refused = await client.request(
                method, path, headers=headers, json={"model": "tiny", "name": "tiny"}
            )
            assert refused.status_code == 403, (method, path)
    assert service.requests == []


async def test_origins() -> None:
    async with serving(ScriptedService()) as client:
        for origin in GOOD_ORIGINS:
            page = {"origin": origin, "sec-fetch-site": "cross-site"}
            allowed = await client.get("/api/version", headers=page)
            assert allowed.headers["access-control-allow-origin"] == origin
            asking = {
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type",
            }
            preflight = await client.options("/api/chat", headers=page | asking)
            assert preflight.headers["access-control-allow-origin"] == origin
            assert preflight.status_code == 200
        for origin in BAD_ORIGINS:
            refused = await client.get("/api/version", headers={"origin": origin})
            assert refused.status_code == 403, origin
            assert "access-control-allow-origin" not in refused.headers


async def test_the_refusal_is_in_the_dialect_of_the_path() -> None:
    async with serving(ScriptedService()) as client:
        answers = [
            (await client.get(path, headers={"host": "evil.test"})).json()["error"]
            for path in ("/api/tags", "/v1/models", "/nybble/ps")
        ]
    assert answers[0] == "this host name is not allowed. Use localhost or 127.0.0.1"
    assert (answers[1]["code"], answers[2]["code"]) == ("host_not_allowed", "host_not_allowed")


async def test_json_is_read_whatever_the_content_type() -> None:
    service = ScriptedService()
    body = b'{"model": "tiny", "prompt": "Hi", "stream": false}'
    async with serving(service) as client:
        for kind in (
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data; boundary=x",
            None,
        ):
            headers = {"content-type": kind} if kind else {}
            answer = await client.post("/api/generate", content=body, headers=headers)
            assert answer.json()["response"] == "Hello"


async def test_a_body_that_is_too_large_is_refused_early() -> None:
    service = ScriptedService()
    announced = (
        f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_LIMIT_BYTES + 1}\r\n\r\n"
    )

    async def without_announcement() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT_BYTES // 2**20 + 1):
            yield b" " * 2**20

    async with serving(service) as client:
        assert await raw(client, announced.encode()) == 413
        assert (await client.post("/api/chat", content=without_announcement())).status_code == 413
        assert (await client.get("/api/version")).status_code == 200
    assert service.requests == []
