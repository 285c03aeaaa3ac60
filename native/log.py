"""llama.cpp's log: errors and warnings to stderr, the last lines kept to explain failures."""

from __future__ import annotations

import ctypes
import sys
from collections import deque
from typing import ClassVar

from native.binding import api

_INFO, _WARN, _ERROR, _CONTINUES = 2, 3, 4, 5


class Log:
    """The log of llama.cpp from now on, until another one is made: llama.cpp has one for the process."""

    _installed: ClassVar[Log | None] = None
    # While a decode is stopped, which llama.cpp takes for a failure.
    is_quiet: ClassVar[bool] = False

    def __init__(self, kept_lines: int = 200) -> None:
        self.errors: deque[str] = deque(maxlen=kept_lines)
        self.infos: deque[str] = deque(maxlen=kept_lines)
        self._level = _INFO
        self._callback = api.llama_log_callback(self._on_line)
        api.llama_log_set(self._callback, ctypes.c_void_p(0))
        # llama.cpp calls it for as long as the process lives, and keeps no reference that Python knows of.
        Log._installed = self

    def _on_line(self, level: int, text: bytes, _user_data: object) -> None:
        if level != _CONTINUES:
            self._level = level
        line = text.decode("utf-8", "replace")
        if self._level in (_WARN, _ERROR):
            self.errors.append(line.strip())
            if not Log.is_quiet:
                sys.stderr.write(line)
                sys.stderr.flush()
        elif self._level == _INFO:
            self.infos.append(line.strip())

    @classmethod
    def is_quiet_while(cls, is_stopped: bool) -> bool:
        cls.is_quiet = is_stopped
        return is_stopped

    def last_errors(self, count: int = 3) -> str:
        return "; ".join(line for line in list(self.errors)[-count:] if line)
