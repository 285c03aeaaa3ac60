"""Text in terminals: what comes from models, hubs and files made safe; words and paths, the same for all."""

from __future__ import annotations

import os
import re
from pathlib import Path

# ESC sequences first, also unterminated ones (CSI, OSC/DCS/APC/PM/SOS strings, two-character ones), then what
# is left of C0 (but not newline and tab), DEL and C1. The one-character forms of C1 only lose that character:
# text that was decoded wrongly is full of them, and what would follow them is no longer a sequence.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_FINISHED = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*(?![\[\]PX^_])[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BIDI_AND_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def clean(text: str) -> str:
    """`text` without control characters and escape sequences; newlines and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def in_line(position: int | None) -> str:
    """A place in a queue for people: "next in line", "3rd in line"; None before the first news of it."""
    if position is None:
        return "waiting"
    if position == 1:
        return "next in line"
    teen = position % 100 in (11, 12, 13)
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position:,}{ending} in line"


def typed_path(words: str) -> Path:
    """The file that somebody means, absolute; `~` is their home folder. Fails for no words."""
    return Path(os.path.expanduser(words)).absolute()  # noqa: PTH111 - pathlib's fails for unknown users


def clean_name(text: str) -> str:
    """`clean` for names and other single lines: also no newlines and nothing that reorders or hides."""
    return _BIDI_AND_INVISIBLE.sub("", clean(text)).replace("\n", " ").replace("\t", " ")


class StreamCleaner:
    """`clean` for text that arrives in pieces: the same result as for the whole. Holds back what may be the
    beginning of an escape sequence, or of a line end, until the rest is there."""

    _PENDING_LIMIT = 256

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, piece: str) -> str:
        text = self._pending + piece
        start = _unfinished(text)
        if len(text) - start > self._PENDING_LIMIT:
            start = len(text)
        self._pending = text[start:]
        return clean(text[:start])

    def flush(self) -> str:
        text, self._pending = self._pending, ""
        return clean(text)


def _unfinished(text: str) -> int:
    """Where the last sequence begins, if the end of `text` cuts it; the length of `text` otherwise."""
    for match in _ESCAPES.finditer(text):
        if match.end() == len(text) and not _FINISHED.fullmatch(match.group()):
            return match.start()
    return len(text) - text.endswith("\r")
