"""The terminal that the app writes to, which may go away before the app does."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


class Terminal:
    """Once it is gone it takes everything and tells the app as the system does, by SIGHUP. An error would end
    the thread that writes for Textual, and the app would wait for that one for ever."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_gone = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._while_there(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._while_there(self._stream.flush)

    def _while_there(self, do: Callable[[], object]) -> None:
        try:
            if not self._is_gone:
                do()
        except OSError:
            self._is_gone = True
            if sys.platform != "win32":
                os.kill(os.getpid(), signal.SIGHUP)


@contextmanager
def survived() -> Iterator[None]:
    """Textual writes to what is `sys.__stderr__` when it starts."""
    before: Any = sys.__stderr__
    sys.__stderr__ = Terminal(before)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]
