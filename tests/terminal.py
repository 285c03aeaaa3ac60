"""A program in a real pseudo-terminal, for tests."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from typing import Self

_WAIT_S = 60
# Styles and cursor movements, which prompt_toolkit writes between the characters.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>])")


class Terminal:
    """Runs `command` with a terminal as its stdin, stdout and stderr. A context manager."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._own, theirs = pty.openpty()
        self._ending, self._end = os.pipe()
        termios.tcsetwinsize(theirs, (24, 100))
        self._text = ""
        self._seen = 0
        self._is_closed = False
        self._arrived = threading.Condition()
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
            # Without it prompt_toolkit asks the terminal where the cursor is, and nobody answers here.
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(environment or {})},
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()
        os.close(self._ending)
        os.close(self._end)

    def hang_up(self) -> None:
        """Close the terminal, as its window does."""
        if not self._is_closed:
            os.write(self._end, b" ")
            self._reader.join(_WAIT_S)
            os.close(self._own)
            self._is_closed = True

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def expect(self, text: str) -> str:
        """Wait until `text` has been printed since the last `expect`; returns what was printed up to it."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: text in self._text[self._seen :], _WAIT_S)
            shown = self._text[self._seen :]
            assert found, f"{text!r} did not appear in:\n{shown}"
            end = shown.index(text) + len(text)
            self._seen += end
            return shown[:end]

    @property
    def is_raw(self) -> bool:
        """Whether the program has taken the terminal out of its usual line mode."""
        return not termios.tcgetattr(self._own)[3] & termios.ICANON

    def wait(self) -> int:
        return self.process.wait(_WAIT_S)

    def _read(self) -> None:
        raw = b""
        while True:
            try:
                # A terminal that is being read cannot be closed.
                if self._ending in select.select([self._own, self._ending], [], [])[0]:
                    return
                raw += os.read(self._own, 65536)
            except OSError:
                # The other side has closed the terminal.
                return
            with self._arrived:
                self._text = _SEQUENCES.sub("", raw.decode("utf-8", "replace"))
                self._arrived.notify_all()


def _take_terminal() -> None:
    """Make stdin the terminal of the new session, so that Ctrl-C becomes a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
