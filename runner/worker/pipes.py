"""The worker's two pipes: a reader thread for commands, and events."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

from runner.protocol import MAX_LINE_BYTES, Command, Event, decode, encode

Work = Callable[[], None]
"""What another thread has begun, and the engine's thread is to finish."""


class Inbox:
    """What there is to do: commands from the daemon, read by a thread of their own, and what other threads
    put beside them. End of file means that the daemon is gone: nobody waits for anything any more, so the
    process ends at once, even in the middle of a decode."""

    def __init__(self, stream: BinaryIO) -> None:
        self._commands: queue.SimpleQueue[Command | Work] = queue.SimpleQueue()
        self._stream = stream
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def take(self, wait_s: float | None = 0.0) -> Command | Work | None:
        """The next one; None if none comes within `wait_s` seconds, where None is without end."""
        try:
            return self._commands.get(wait_s != 0, wait_s)
        except queue.Empty:
            return None

    def put(self, work: Work) -> None:
        self._commands.put(work)

    @property
    def has_command(self) -> bool:
        return not self._commands.empty()

    def _read(self) -> None:
        try:
            while line := self._stream.readline(MAX_LINE_BYTES):
                self._commands.put(decode(line))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - a broken pipe or protocol ends this process either way
            sys.stderr.write(f"reading commands failed: {error}\n")
        finally:
            # With the daemon gone stderr is broken too, and may raise for what other threads wrote to it.
            os._exit(0)


class Outbox:
    """Events to the daemon, written at once: it works on them while the next decode is prepared. One that
    does not read (it was stopped) stops the worker, too: it would gather what nobody reads."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def put(self, event: Event) -> None:
        try:
            self._stream.write(encode(event))
            self._stream.flush()
        except OSError:
            # The daemon is gone, as the inbox is about to hear.
            os._exit(0)
