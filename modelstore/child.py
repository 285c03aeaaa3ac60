"""A child process that the store talks to in JSON lines, and that never outlives its job."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from threading import Event
from typing import IO, Any, cast

from native import child

_CANCEL_POLL_S = 0.1


class Child:
    """A running child, in `environment` or else that of native children. Its messages are JSON objects, one a
    line; what it says on stderr is kept."""

    def __init__(self, module: str, environment: Mapping[str, str] | None = None) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `kill`
        self.process = subprocess.Popen(
            child.command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=child.environment() if environment is None else environment,
        )
        self._requests = cast(IO[bytes], self.process.stdin)
        self._answers = cast(IO[bytes], self.process.stdout)
        self._said = self.messages()

    def send(self, message: object) -> None:
        # A child that is gone already has said why on stderr.
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()

    def ask(self, message: object) -> dict[str, Any]:
        """What it says to that; if it ends instead, its last words are the `error`."""
        self.send(message)
        answer = next(self._said, None)
        return {"error": self.last_words()} if answer is None else answer

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the child says, until it ends. What it was killed in the middle of, it has not said."""
        for line in self._answers:
            if line.endswith(b"\n"):
                yield json.loads(line)

    def last_words(self) -> str:
        """How the child ended, with the last line of its stderr. Waits for the end."""
        code = self.process.wait()
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        return f"{lines[-1] if lines else 'no message'} (status {code})"

    def end(self, within_s: float) -> None:
        """Tell it that nobody waits any more, and give it so long to end by itself."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(within_s)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        self._words.close()


@contextlib.contextmanager
def running(
    module: str, cancelled: Event, environment: Mapping[str, str] | None = None, grace_s: float = 0
) -> Iterator[Child]:
    """`python -m module` as long as the block runs. It is killed at the end, and once `cancelled` is set: so
    long after the end of its stdin as `grace_s` says, if it has not ended by itself."""
    worker = Child(module, environment)
    watcher = threading.Thread(target=_end_when, args=(cancelled, worker, grace_s), daemon=True)
    watcher.start()
    try:
        yield worker
    finally:
        worker.kill()
        watcher.join()


def _end_when(cancelled: Event, worker: Child, grace_s: float) -> None:
    while worker.process.poll() is None:
        if cancelled.wait(_CANCEL_POLL_S):
            if grace_s:
                worker.end(grace_s)
            worker.process.kill()
            return
