"""An application behind uvicorn's HTTP, without uvicorn's server, which looks every tenth of a second whether
it should end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from runner import system


def loopback(port: int = 0) -> socket.socket:
    """A listening socket; 0 picks a free port."""
    # Named as TCP, as the daemon's own: only then asyncio turns off Nagle's algorithm, which costs every
    # request 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    system.claim_address(listener)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


@asynccontextmanager
async def listening(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    """Ends at once, also in the middle of an answer."""
    config = uvicorn.Config(app, log_config=None, log_level="critical", lifespan="off", ws="none")
    config.load()
    state = ServerState()
    # `load` makes the name a class.
    protocol: Any = config.http_protocol_class
    server = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), sock=listener
    )
    try:
        yield
    finally:
        server.close()
        answers, connections = list(state.tasks), list(state.connections)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        for connection in connections:
            connection.transport.close()
