"""An application behind uvicorn's HTTP, without uvicorn's server, which looks every tenth of a second whether
it should end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from runner import system
from runner.api.connection import Connection


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
async def listening(
    app: FastAPI, listener: socket.socket, protocol: type[Connection] = Connection
) -> AsyncIterator[None]:
    """Ends at once, also in the middle of an answer."""
    config = uvicorn.Config(app, log_config=None, log_level="critical", lifespan="off", ws="none")
    config.load()
    state = ServerState()
    ending = asyncio.Event()
    accepting = asyncio.create_task(
        _accept(listener, lambda: protocol(config=config, server_state=state, app_state={}), ending)
    )
    try:
        yield
    finally:
        ending.set()
        # Wakes the one that accepts: cancelled, it could lose a connection that has just come.
        socket.create_connection(listener.getsockname()).close()
        await accepting
        # First the connections, so that no further request comes in while the answers end.
        for connection in list(state.connections):
            connection.transport.abort()
        answers = list(state.tasks)
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)


async def _accept(
    listener: socket.socket, protocol: Callable[[], asyncio.Protocol], ending: asyncio.Event
) -> None:
    """Accepts without asyncio's `Server`, which on Python 3.11 leaks what it accepted as it was closed."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    with listener:
        while True:
            connection, _ = await loop.sock_accept(listener)
            if ending.is_set():
                connection.close()
                return
            await loop.connect_accepted_socket(protocol, connection)
