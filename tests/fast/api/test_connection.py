"""A client that does not ask, or stops reading, over a real socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from runner import wire
from runner.api.connection import Connection
from tests.fast.api.scripted import DONE, ScriptedService, serving

LONG = [wire.TextDelta(text="x" * 2**20, completion_tokens=1)] * 16
ASKING = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
BODY = b'{"model": "tiny", "prompt": "Hi", "n": 2, "stream": true}'


class Impatient(Connection):
    unread_s = 0.15


class Hasty(Connection):
    unasked_s = 0.2


async def test_who_asks_nothing_is_cut() -> None:
    async def answer(said: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(said)
        heard = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return heard

    async with serving(ScriptedService(), Hasty) as client:
        assert await asyncio.gather(answer(b""), answer(b"POST / HTTP/1.1\r\nHost: loc")) == [b"", b""]


async def test_who_has_asked_may_wait_for_the_answer() -> None:
    rest = asyncio.Event()
    async with serving(ScriptedService([rest, DONE]), Hasty) as client:
        asyncio.get_running_loop().call_later(1.5 * Hasty.unasked_s, rest.set)
        assert (await client.post("/api/generate", json={"model": "tiny", "prompt": "Hi"})).status_code == 200


async def asked(port: int | None, path: bytes) -> socket.socket:
    """A connection that has asked, and has read the first bytes of the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, ASKING % (path, len(BODY), BODY))
    assert (await loop.sock_recv(client, 15)).startswith(b"HTTP/1.1 200")
    return client


@pytest.mark.parametrize("path", [b"/api/generate", b"/nybble/generate"])
async def test_its_request_ends_and_the_answer_does_not_look_whole(path: bytes) -> None:
    service = ScriptedService([*LONG, DONE])
    async with serving(service, Impatient) as client:
        with await asked(client.base_url.port, path) as stalled:
            await asyncio.wait_for(service.ended.wait(), 60)
            rest = b""
            while data := await asyncio.get_running_loop().sock_recv(stalled, 2**20):
                rest += data
    assert len(rest) < 12 * 2**20 and b'"done":true' not in rest and not rest.endswith(b"0\r\n\r\n")


async def test_who_reads_gets_all_of_a_long_answer() -> None:
    async with serving(ScriptedService([*LONG, DONE]), Impatient) as client:
        answer = await client.post("/nybble/generate", json={"model": "tiny", "prompt": "Hi"})
    assert len(answer.text) > 16 * 2**20 and '"done"' in answer.text.splitlines()[-1]


class Counting(ScriptedService):
    """Counts the events that were taken from it."""

    taken = 0

    async def _play(self, request: wire.Wire, script: Any) -> Any:
        async for event in super()._play(request, script):
            self.taken += 1
            yield event


async def test_several_choices_are_not_taken_from_the_worker_before_they_are_read() -> None:
    """It bounds what may wait."""
    service = Counting([*LONG, DONE])
    async with serving(service, Impatient) as client:
        with await asked(client.base_url.port, b"/v1/completions"):
            await asyncio.wait_for(service.ended.wait(), 60)
    assert service.taken < len(LONG)
