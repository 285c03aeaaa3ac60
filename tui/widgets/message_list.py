"""The messages of one chat: the last ones, which keeps a long chat quick, and the earlier ones on request."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.keys import first_key

AT_ONCE = 24


class MessageList(Vertical):
    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._waiting: list[Widget] = []
        self._note = Static(id="earlier", markup=False)
        self._note.display = False

    def compose(self) -> ComposeResult:
        yield self._note

    @property
    def earlier(self) -> int:
        """How many messages are not shown."""
        return len(self._waiting) + len(self._hidden)

    async def replace(self, messages: Sequence[Widget]) -> None:
        async with self.batch():
            await self.remove_children(self.children[1:])
            self._waiting = list(messages[:-AT_ONCE])
            await self.mount_all(messages[-AT_ONCE:])
        self._count()

    async def append(self, message: Widget) -> None:
        await self.mount(message)
        for old in self.children[1:-AT_ONCE]:
            old.display = False
        self._count()

    async def show_earlier(self) -> None:
        """Shows as many again."""
        if hidden := self._hidden:
            for message in hidden[-AT_ONCE:]:
                message.display = True
        else:
            batch, self._waiting = self._waiting[-AT_ONCE:], self._waiting[:-AT_ONCE]
            await self.mount_all(batch, after=0)
        self._count()

    @property
    def _hidden(self) -> list[Widget]:
        return [message for message in self.children[1:] if not message.display]

    def _count(self) -> None:
        self._note.display = self.earlier > 0
        self._note.update(Content(f"↑ {self.earlier} earlier · {first_key('transcript.earlier')} shows more"))
        self.refresh_bindings()
