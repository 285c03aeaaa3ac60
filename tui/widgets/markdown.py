"""Markdown that a model wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from markdown_it import MarkdownIt
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownStream

from runner.text import StreamCleaner


def _parser() -> MarkdownIt:
    # With HTML on, tags would be parsed and then not shown: text that the model wrote would be lost.
    return MarkdownIt("gfm-like", {"html": False})


class ModelMarkdown(Markdown):
    """Shows every character of the text but control characters; opens no link by itself."""

    def __init__(self) -> None:
        super().__init__(parser_factory=_parser, open_links=False)

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[Writer]:
        """A writer for text that arrives in pieces; all of it is shown in the end, also after an error."""
        writer = Writer(self)
        try:
            yield writer
        finally:
            await writer.stop()


class Writer:
    def __init__(self, markdown: ModelMarkdown) -> None:
        self._markdown = markdown
        self._cleaner = StreamCleaner()
        self._stream: MarkdownStream | None = None

    async def write(self, piece: str) -> None:
        await self._show(self._cleaner.feed(piece))

    async def stop(self) -> None:
        await self._show(self._cleaner.flush())
        if self._stream is not None:
            await self._stream.stop()

    async def _show(self, text: str) -> None:
        if not text:
            return
        if self._stream is None:
            # Not earlier: a stream that is stopped before its first text cancels whoever stops it.
            self._stream = Markdown.get_stream(self._markdown)
        await self._stream.write(text)
