"""llama-server beside a nybble daemon, on the same file.

nybble has measured flash attention, as it does when nobody waits for an answer, and loaded the model again:
what its users have from the second load on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from tests.bench.stream import complete
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
        "NYBBLE_FLASH_ATTENTION": "auto",
    }


@contextmanager
def nybble(setup: Setup, more: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon with a home of its own that has the model in its store."""
    environment = settings(setup) | dict(more or {})
    with (
        tempfile.TemporaryDirectory(prefix="nybble-bench-") as home,
        Daemon(Path(home), environment) as daemon,
    ):
        daemon.add_model(setup.model, MODEL)
        if environment["NYBBLE_FLASH_ATTENTION"] == "auto":
            _let_it_measure(daemon)
        yield daemon


def _let_it_measure(daemon: Daemon) -> None:
    asyncio.run(complete(daemon.address, MODEL, "Hello", 4))
    verdict = daemon.expect("measured for the next load: ", within_s=120)
    sys.stdout.write(verdict.partition("next load: ")[2])
    asyncio.run(daemon.client().stop(MODEL))


@contextmanager
def llama_server(binary: Path, setup: Setup, flags: Sequence[str] = ()) -> Iterator[str]:
    """The address of a llama-server that has the model loaded."""
    total = setup.context_length * setup.slots
    shape = ["-t", setup.threads, "-np", setup.slots, "-c", total]
    command = [str(part) for part in (binary, "-m", setup.model, "--port", 0, *shape, *flags)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        assert server.stderr
        # A full pipe would stop it: somebody has to read on.
        reader = Thread(target=deque, args=(server.stderr, 0))
        try:
            # It says so once the model is loaded.
            said = next((line for line in server.stderr if _LISTENS in line), None)
            if said is None:
                raise RuntimeError(f"llama-server did not start (status {server.wait()})")
            reader.start()
            yield said.partition(_LISTENS)[2].strip().decode()
        finally:
            # Its handler of SIGTERM can wait for a lock that the thread it interrupted holds.
            server.kill()
            if reader.ident:
                reader.join()
