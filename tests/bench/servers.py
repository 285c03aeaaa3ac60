"""llama-server beside a nybble daemon, on the same file. Both use flash attention, as llama-server does."""

from __future__ import annotations

import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from tests.daemons import Daemon

MODEL = "bench"
_LISTENS = b": listening on "


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
    total = setup.context_length * setup.slots
    shape = ["-t", setup.threads, "-np", setup.slots, "-c", total]
    command = [str(part) for part in (binary, "-m", setup.model, "--port", 0, *shape, *flags)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        assert server.stderr
        try:
            # It says so once the model is loaded.
            said = next((line for line in server.stderr if _LISTENS in line), None)
            if said is None:
                raise RuntimeError(f"llama-server did not start (status {server.wait()})")
            # A full pipe would stop it: somebody has to read on.
            Thread(target=deque, args=(server.stderr, 0)).start()
            yield said.partition(_LISTENS)[2].strip().decode()
        finally:
            server.terminate()
