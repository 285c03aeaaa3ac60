"""The client against something that listens, speaks HTTP and talks nonsense."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runner import wire
from runner.client import Client
from runner.errors import RemoteError
from runner.exchange import exchange


class Nonsense(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"what": 1}\n'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing on the test's stderr."""


@pytest.fixture
def nonsense() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nonsense)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_an_answer_of_another_version_is_an_error_with_a_hint(nonsense: str) -> None:
    async with Client(nonsense) as client:
        for call in (client.health(), client.models(), client.show("a")):
            with pytest.raises(RemoteError, match="does not understand"):
                await call
        with pytest.raises(RemoteError, match="does not understand"):
            async for _ in client.generate(wire.GenerateRequest(model="a")):
                pass


def test_an_answer_that_does_not_wait_for_the_question_leaves_nothing_open() -> None:
    refusal = b"HTTP/1.0 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        answering = threading.Thread(target=lambda: accepted.append(server.accept()[0]))
        accepted: list[socket.socket] = []

        async def ask() -> tuple[int, bytes]:
            asking = asyncio.create_task(exchange(address, "POST", "/", bytes(50_000_000)))
            await asyncio.to_thread(answering.join)
            accepted[0].sendall(refusal)
            return await asking

        answering.start()
        assert asyncio.run(ask()) == (413, b"{}")
        accepted[0].close()
    gc.collect()
