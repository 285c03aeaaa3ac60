"""Making text from models, hubs and files safe to show in a terminal."""

from __future__ import annotations

import re

# ESC sequences first, also unterminated ones (CSI, OSC/DCS/APC/PM/SOS strings, two-character ones), then what
# is left of C0 (but not newline and tab), DEL and C1.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]?"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BIDI_AND_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def clean(text: str) -> str:
    """`text` without control characters and escape sequences; newlines and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def clean_name(text: str) -> str:
    """`clean` for names and other single lines: also no newlines and nothing that reorders or hides."""
    return _BIDI_AND_INVISIBLE.sub("", clean(text)).replace("\n", " ").replace("\t", " ")


class StreamCleaner:
    """`clean` for text that arrives in pieces: holds back an escape sequence that is not complete yet."""

    _PENDING_LIMIT = 256

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, piece: str) -> str:
        text = self._pending + piece
        start = max(text.rfind("\x1b"), text.rfind("\x9b"))
        held = start >= 0 and len(text) - start <= self._PENDING_LIMIT and _may_continue(text[start:])
        self._pending = text[start:] if held else ""
        return clean(text[:start] if held else text)

    def flush(self) -> str:
        text, self._pending = self._pending, ""
        return clean(text)


def _may_continue(sequence: str) -> bool:
    """Whether an escape sequence that starts `sequence` could still be going on at its end."""
    match = _ESCAPES.match(sequence)
    if match is None or match.end() < len(sequence):
        return False
    return not re.search(r"[@-~\x07\x9c]$", sequence[2:]) if len(sequence) > 2 else True
