"""The daemon's life: one per store, one asyncio loop, a drain at the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from modelstore.errors import Conflict, UserError
from runner import daemon_file, logs, system
from runner.daemon_file import DaemonRecord
from runner.paths import Paths, make_private
from runner.settings import Settings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

_log = logging.getLogger(__name__)

_BACKLOG = 1024
# After the drain: time for error records to reach their clients before connections are cut.
_FAREWELL_S = 2
_LAST_RESORT_S = 8.0


class AlreadyRunning(Conflict):
    code = "already_running"


class CannotListen(UserError):
    code = "cannot_listen"


def serve(paths: Paths, settings: Settings, *, foreground: bool) -> None:
    """Run the daemon until a signal or a request stops it. `foreground` logs to stderr, too.

    Raises AlreadyRunning if the store has a daemon, CannotListen if the address cannot be had.
    """
    # Whatever the caller's umask is, what the daemon writes is this user's only.
    os.umask(0o077)
    make_private(paths.runtime)
    with _store_lock(paths), _listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        settings = replace(settings, host=host, port=port)
        logs.configure(paths.log_file, to_stderr=foreground)
        record = DaemonRecord(os.getpid(), settings.address, version("nybble"))
        daemon_file.write(paths.daemon_file, record)
        try:
            asyncio.run(_run(paths, settings, listener))
        except Exception:
            _log.critical("the daemon failed", exc_info=True)
            raise
        finally:
            paths.daemon_file.unlink(missing_ok=True)


def _store_lock(paths: Paths) -> contextlib.AbstractContextManager[object]:
    """Held already."""
    from filelock import FileLock, Timeout

    try:
        return FileLock(paths.lock_file, timeout=0, mode=0o600).acquire()
    except Timeout:
        other = daemon_file.read(paths.daemon_file)
        who = f"pid {other.pid} at {other.address}" if other else "just starting"
        raise AlreadyRunning(
            f"a nybble daemon already serves the store {paths.store} ({who})",
            hint="use it, or end it with `nybble stop --daemon`; another NYBBLE_HOME makes another store",
        ) from None


def _listen(settings: Settings) -> socket.socket:
    """A listening socket: clients that come while the rest starts are kept waiting, not refused."""
    family, address = _loopback_address(settings)
    # Named as TCP: only then asyncio turns off Nagle's algorithm, which holds small writes back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        system.claim_address(listener)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(
            _why_not(error, address),
            hint="choose another port with --port or NYBBLE_PORT; 0 picks a free one",
        ) from error
    return listener


def _why_not(error: OSError, address: tuple[str, int]) -> str:
    host, port = address
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program"
    return f"cannot listen on port {port} of {host}: {error.strerror}"


def _loopback_address(settings: Settings) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """What `settings.host` means, IPv4 first. Raises CannotListen unless it is this computer only."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"host {settings.host!r} is not an address: {error.strerror}"
        raise CannotListen(message, hint="set host to 127.0.0.1") from error
    family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    host = str(address[0])
    if not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise CannotListen(
            f"will not listen on {settings.host}: every computer that reaches it could use the models",
            hint="there are no API keys yet; keep 127.0.0.1 and forward the port, say with ssh",
        )
    return family, (host, settings.port)


async def _run(paths: Paths, settings: Settings, listener: socket.socket) -> None:
    from runner.api.app import build_app
    from runner.service import Service

    hurry = asyncio.Event()
    async with Service(paths, settings) as service:

        def stop() -> None:
            (hurry.set if service.shutdown_requested.is_set() else service.request_shutdown)()

        _on_stop_signals(stop)
        server = _server(build_app(service))
        _collect_garbage_as_a_server()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        _log.info("nybble %s serves %s at %s", version("nybble"), paths.store, settings.address)
        await _first_of(serving, service.shutdown_requested.wait())
        _log.info("stopping: running requests have %g s", settings.drain_s)
        await _first_of(serving, service.drained.wait(), hurry.wait(), timeout_s=settings.drain_s)
        _exit_by_force_after(_LAST_RESORT_S)
    # Leaving the service ended all streams with an error record; the server delivers it.
    server.should_exit = True
    await serving
    _log.info("stopped")


def _server(app: FastAPI) -> uvicorn.Server:
    """uvicorn without its signal handling and without its log configuration."""
    import uvicorn

    from runner.api.connection import Connection

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_FAREWELL_S,
    )
    return Server(config)


def _collect_garbage_as_a_server() -> None:
    """Often, but without what starting has made, which stays: looking through that takes 40 ms."""
    gc.freeze()
    gc.set_threshold(1000, 10, 10)


def _exit_by_force_after(seconds: float) -> None:
    """A thread that hangs, say in a dead network mount, must not keep a stopped daemon's lock."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _on_stop_signals(callback: Callable[[], None]) -> None:
    """`callback` runs in the loop at each signal. What the parent had ignored stays ignored (nohup)."""
    loop = asyncio.get_running_loop()
    for number in system.stop_signals():
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(callback))


async def _first_of(
    *awaitables: Coroutine[Any, Any, Any] | asyncio.Task[Any], timeout_s: float | None = None
) -> None:
    """Returns when one of `awaitables` has; cancels the coroutines among the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task, awaitable in zip(tasks, awaitables, strict=True):
        if task is not awaitable:
            task.cancel()
