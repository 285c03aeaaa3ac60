"""Growing Markdown in pages that each stand alone: a piece then costs the same however long the whole is."""

from __future__ import annotations

import re

PAGE_LINES = 100
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_TABLE_RULE = re.compile(r"[ |:-]*-[ |:-]*")
_ITEM = re.compile(r"(?:\d{1,9}[.)]|[-*+]) ")


class Pages:
    """Knows the end of what was fed: what a next page must begin with to go on with its code or table."""

    def __init__(self) -> None:
        self._line = ""
        self._before = ""
        self._count = 0
        self._fence = ""
        self._head = ""

    def feed(self, text: str) -> list[tuple[str, str]]:
        """Pieces of `text`, each with what its page begins with. The first belongs to the page that is
        there, each further one begins another."""
        pieces = [("", "")]
        for part in text.splitlines(keepends=True):
            head, piece = pieces[-1]
            pieces[-1] = (head, piece + part)
            self._line += part
            if part.endswith("\n"):
                line, self._line = self._line, ""
                self._count += 1
                self._note(line)
                if self._count >= PAGE_LINES and self._is_border(line):
                    pieces.append((self._head, ""))
                    self._count = 0
                self._before = line
        return pieces

    def _note(self, line: str) -> None:
        if self._fence:
            if line.strip().startswith(self._fence) and not line.strip(" \n" + self._fence[0]):
                self._fence = self._head = ""
        elif fence := _FENCE.match(line):
            self._fence, self._head = fence[1], line.lstrip()
        elif "|" in self._before and _TABLE_RULE.fullmatch(line.strip()):
            self._head = self._before + line
        elif "|" not in line:
            self._head = ""

    def _is_border(self, line: str) -> bool:
        """Inside code and tables, between paragraphs, and between items of a list without text below them."""
        is_list = _ITEM.match(self._before) is not None and _ITEM.match(line) is not None
        return bool(self._head) or not line.strip() or is_list
