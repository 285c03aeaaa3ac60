"""llama-server beside a nybble daemon, on the same file. Both use flash attention, as llama-server does."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.daemons import Daemon

MODEL = "bench"


@dataclass(frozen=True, slots=True)
class Setup:
    """What both get: `threads`, `slots`, and a context of `context_length` tokens for each slot."""

    model: Path
    threads: int = 2
    slots: int = 4
    context_length: int = 4096


def settings(setup: Setup) -> dict[str, str]:
    """A daemon's environment; without guesses, which llama-server does not make by itself either."""
    return {
        "NYBBLE_THREADS": str(setup.threads),
        "NYBBLE_NUM_PARALLEL": str(setup.slots),
        "NYBBLE_CONTEXT_LENGTH": str(setup.context_length),
        "NYBBLE_KEEP_ALIVE": "1h",
        "NYBBLE_SPECULATION": "false",
    }


@contextmanager
def nybble(setup: Setup, more: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon with a home of its own that has the model in its store."""
    with (
        tempfile.TemporaryDirectory(prefix="nybble-bench-") as home,
        Daemon(Path(home), settings(setup) | dict(more or {})) as daemon,
    ):
        daemon.add_model(setup.model, MODEL)
        yield daemon


@contextmanager
def llama_server(binary: Path, setup: Setup, flags: Sequence[str] = ()) -> Iterator[str]:
    """The address of a llama-server that has the model loaded."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    total = setup.context_length * setup.slots
    shape = ["-t", setup.threads, "-np", setup.slots, "-c", total]
    command = [str(part) for part in (binary, "-m", setup.model, "--port", port, *shape, *flags)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, server)
            yield address
        finally:
            server.terminate()


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"llama-server did not start (status {server.poll()})")
