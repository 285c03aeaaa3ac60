"""Finding a store's daemon, and starting it in the background if there is none."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from modelstore.errors import Conflict, NybbleError
from runner import daemon_file, exits, system
from runner.client import Client
from runner.errors import DaemonUnreachable
from runner.paths import Paths, home, make_private
from runner.settings import Settings

_START_DEADLINE_S = 30.0
_HANDSHAKE_S = 5.0
_LOOK_AGAIN_S = 0.02
_LAST_RESORT_S = 10.0
_OUTPUT_LIMIT_BYTES = 1_000_000


async def connect(paths: Paths, settings: Settings, *, start: bool) -> Client:
    """A client of the daemon that serves `paths.store`, at whatever address; `settings` are for starting it.

    Raises DaemonUnreachable if none runs and it may not be started, or does not come up.
    """
    if client := await find(paths):
        return client
    if not start:
        raise DaemonUnreachable(
            f"no nybble daemon serves the store {paths.store}",
            hint="`nybble serve` starts one, and so does any command without --no-start",
        )
    return await _start(paths, settings)


async def find(paths: Paths) -> Client | None:
    """A client of the running daemon. Whoever else listens at the recorded address is not taken for it."""
    record = daemon_file.read(paths.daemon_file)
    if record is None or not record.address.startswith("http://"):
        return None
    client = Client(record.address)
    if await _serves(client, paths):
        return client
    await client.close()
    return None


async def wait_until_gone(paths: Paths, drain_s: float) -> None:
    """Returns when the store's daemon, which was asked to stop, has released the store. Raises Conflict."""
    deadline_s = time.monotonic() + drain_s + _LAST_RESORT_S
    while not _is_free(paths):
        if time.monotonic() > deadline_s:
            raise Conflict("the daemon is still stopping", hint="`nybble logs` shows what it waits for")
        await asyncio.sleep(_LOOK_AGAIN_S)


def _is_free(paths: Paths) -> bool:
    """Whether no daemon has the store."""
    from filelock import FileLock, Timeout

    with suppress(Timeout), FileLock(paths.lock_file, timeout=0):
        return True
    return False


async def _serves(client: Client, paths: Paths) -> bool:
    with suppress(NybbleError, ValueError, TimeoutError):
        async with asyncio.timeout(_HANDSHAKE_S):
            health = await client.health()
            return Path(health.store) == paths.store
    return False


async def _start(paths: Paths, settings: Settings) -> Client:
    """Any number of commands may do this at once: one daemon gets the lock, and all find that one."""
    process, output_start = _spawn(paths, settings)
    deadline_s = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline_s:
        if client := await find(paths):
            return client
        if process.poll() not in (None, exits.ALREADY_RUNNING):
            raise _failed(paths, output_start, f"exit code {process.returncode}")
        if process.returncode is not None and _is_free(paths):
            # Whoever had the store was about to end, and has.
            process, output_start = _spawn(paths, settings)
        await asyncio.sleep(_LOOK_AGAIN_S)
    raise _failed(paths, output_start, f"no answer within {_START_DEADLINE_S:g} s")


def _spawn(paths: Paths, settings: Settings) -> tuple[subprocess.Popen[bytes], int]:
    """The starting daemon, and where its output begins in the output file."""
    make_private(paths.state)
    flags = ["--background", "--host", settings.host, "--port", str(settings.port)]
    # The daemon works in another folder, from which a relative path would lead elsewhere.
    moved = {"NYBBLE_HOME": str(root)} if (root := home()) else {}
    output_fd = os.open(paths.output_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(output_fd, "ab") as output:
        if output.tell() > _OUTPUT_LIMIT_BYTES:
            output.seek(0)
            output.truncate()
        process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-m", "runner", "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=paths.state,
            env={**os.environ, **moved},
            **system.detached_process_options(),
        )
        # Reaps it when it ends, should this process live longer.
        threading.Thread(target=process.wait, daemon=True).start()
        return process, output.tell()


def _failed(paths: Paths, output_start: int, reason: str) -> DaemonUnreachable:
    said = paths.output_file.read_bytes()[output_start:].decode("utf-8", "replace")
    last = "\n".join([line for line in said.splitlines() if line.strip()][-8:])
    return DaemonUnreachable(
        f"the nybble daemon did not start ({reason})" + (f":\n{last}" if last else ""),
        hint=f"`nybble serve` shows it in the foreground; its log is {paths.log_file}",
    )
