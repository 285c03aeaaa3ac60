"""The messages of one chat: the last ones, which keeps a long chat quick, and the earlier ones on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.keys import first_key
from tui.widgets.messages import Said

AT_ONCE = 24


class MessageList(Vertical):
    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._earlier: list[Callable[[], Said]] = []
        self._note = Static(id="earlier", markup=False)
        self._note.display = False

    def compose(self) -> ComposeResult:
        yield self._note

    @property
    def earlier(self) -> int:
        """How many messages are not shown."""
        return len(self._earlier)

    async def replace(self, messages: Sequence[Callable[[], Said]]) -> None:
        self._earlier = list(messages)
        async with self.batch():
            await self.remove_children(self.children[1:])
            await self.show_earlier()

    async def append(self, message: Said) -> None:
        """What is not shown any more is removed: a widget that is only hidden keeps some megabytes."""
        await self.mount(message)
        old = self.query_children(Said)[:-AT_ONCE]
        self._earlier += [each.again for each in old]
        await self.remove_children(old)
        self._count()

    async def show_earlier(self) -> None:
        """Shows as many again."""
        batch, self._earlier = self._earlier[-AT_ONCE:], self._earlier[:-AT_ONCE]
        await self.mount_all([again() for again in batch], after=0)
        self._count()

    def _count(self) -> None:
        self._note.display = self.earlier > 0
        self._note.update(Content(f"↑ {self.earlier} earlier · {first_key('transcript.earlier')} shows more"))
        self.refresh_bindings()
