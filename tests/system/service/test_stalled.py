"""A client that stops reading, and reads on later: a real worker, a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

from runner import paths, wire
from runner.api.app import build_app
from runner.service import Service
from runner.settings import Settings
from tests.fakes.listening import listening, loopback

TOKENS = 300
ASKED = {
    "model": "tiny",
    "prompt": "The list",
    "options": {"temperature": 0, "num_predict": TOKENS, "ignore_eos": True},
    "top_logprobs": 20,
}
HEAD = "POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
BUFFER_BYTES = 4096


async def test_its_lease_ends_with_the_answer_of_which_nothing_is_lost(home: Path, tiny_model: Path) -> None:
    loop = asyncio.get_running_loop()
    listener = loopback()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    async with Service(paths.resolve(), Settings()) as service:
        async for _ in service.pull(wire.PullRequest(name=str(tiny_model), alias="tiny")):
            pass
        async with listening(build_app(service), listener):
            with socket.socket() as stalled:
                stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
                stalled.setblocking(False)
                await loop.sock_connect(stalled, listener.getsockname())
                body = json.dumps(ASKED)
                await loop.sock_sendall(stalled, (HEAD % len(body) + body).encode())
                answer = await loop.sock_recv(stalled, BUFFER_BYTES)
                await asyncio.wait_for(service.drained.wait(), 60)
                while not answer.endswith(b"0\r\n\r\n"):
                    answer += await loop.sock_recv(stalled, 2**20)
    assert answer.count(b'"top_logprobs"') == TOKENS and b'"done":true' in answer
