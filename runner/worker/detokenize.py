"""From token bytes to text: whole characters only, and nothing of a stop string."""

from __future__ import annotations

import codecs


class TextAssembler:
    """Joins the bytes of tokens to text, and ends it before the first stop string.

    Bytes that are not yet a character, and text that may become a stop string, are held back until the next
    token decides. Invalid UTF-8 becomes U+FFFD.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(s for s in stop if s)
        self._held = ""
        self.stopped_by: str | None = None

    def feed(self, piece: bytes) -> str:
        """Text that is safe to show now. Sets `stopped_by` at a stop string; nothing follows it."""
        text = "" if self.stopped_by else self._decoder.decode(piece)
        return self._release(text) if self._stop else text

    def flush(self) -> str:
        """What was held back, when no more tokens come."""
        if self.stopped_by:
            return ""
        released = self._release(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return released + held

    def _release(self, text: str) -> str:
        text = self._held + text
        self._held = ""
        found = [(at, stop) for stop in self._stop if (at := text.find(stop)) >= 0]
        if found:
            at, self.stopped_by = min(found)
            return text[:at]
        keep = max((_overlap(text, stop) for stop in self._stop), default=0)
        if keep:
            text, self._held = text[:-keep], text[-keep:]
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
