"""Markdown that a model wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from markdown_it import MarkdownIt
from textual.containers import Vertical
from textual.widgets import Markdown

from runner.text import StreamCleaner
from tui.pages import Pages
from tui.widgets.table import Table

_FRAME_S = 1 / 15
"""Showing each token by itself would lay out the screen for each, and take the processor from the model."""
_LINE_SEPARATORS = {0x2028: "\n", 0x2029: "\n\n"}
"""The parser and Textual disagree on whether these end a line: text would be shown twice, or not at all."""


def _parser() -> MarkdownIt:
    # With HTML on, tags would be parsed and then not shown: text that the model wrote would be lost.
    return MarkdownIt("gfm-like", {"html": False})


class Page(Markdown):
    def __init__(self, classes: str) -> None:
        super().__init__(parser_factory=_parser, open_links=False, classes=classes)
        self.BLOCKS = {**self.BLOCKS, "table_open": Table}


class ModelMarkdown(Vertical):
    """Shows every character of the text but control characters; opens no link by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._pages = Pages()

    async def add(self, text: str) -> None:
        for number, (head, piece) in enumerate(self._pages.feed(text.translate(_LINE_SEPARATORS))):
            if number or not self.children:
                for before in self.children[-1:]:
                    before.set_class(bool(head), "-cut")
                await self.mount(Page(classes="-goes-on" if head else ""))
            await self.query(Page).last().append(head + piece)

    @asynccontextmanager
    async def streaming(self, on_frame: Callable[[], None]) -> AsyncIterator[Writer]:
        """A writer for text that arrives in pieces; all of it is shown in the end, also after an error."""
        writer = Writer(self, on_frame)
        showing = asyncio.create_task(writer.show())
        try:
            yield writer
        finally:
            writer.end()
            await showing


class Writer:
    def __init__(self, markdown: ModelMarkdown, on_frame: Callable[[], None]) -> None:
        self._markdown = markdown
        self._on_frame = on_frame
        self._cleaner = StreamCleaner()
        self._pending = ""
        self._ended = asyncio.Event()

    def write(self, piece: str) -> None:
        self._pending += self._cleaner.feed(piece)

    def end(self) -> None:
        self._pending += self._cleaner.flush()
        self._ended.set()

    async def show(self) -> None:
        """Shows what was written, frame by frame, until the end."""
        while not self._ended.is_set():
            await self._frame()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _FRAME_S)
        await self._frame()

    async def _frame(self) -> None:
        text, self._pending = self._pending, ""
        if text:
            await self._markdown.add(text)
            self._on_frame()
