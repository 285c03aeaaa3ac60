"""The conversation: follows its end until the user scrolls away."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Markdown

from runner import wire
from runner.text import clean
from tui.keys import bindings
from tui.state import State
from tui.widgets.empty import EmptyState
from tui.widgets.message_list import MessageList
from tui.widgets.messages import Said

_CODE_BLOCK = re.compile(r"^(```+|~~~+)[^\n]*\n(.*?)^\1", re.MULTILINE | re.DOTALL)


class Transcript(VerticalScroll, inherit_bindings=False):
    BINDINGS = bindings("Transcript")

    @dataclass
    class WriteRequested(Message):
        """The user began to type; `text` is what they typed."""

        text: str

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.empty = EmptyState(id="empty")
        self._messages = MessageList(id="messages")

    def compose(self) -> ComposeResult:
        yield self.empty
        yield self._messages

    def on_mount(self) -> None:
        self.anchor()

    def show(self, state: State) -> None:
        self.empty.show(state)
        self._messages.display = bool(state.messages)

    async def replace(self, messages: Sequence[Callable[[], Said]]) -> None:
        await self._messages.replace(messages)
        self.anchor()

    async def append(self, message: Said) -> None:
        await self._messages.append(message)
        self.anchor()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "earlier":
            return self._messages.earlier > 0
        return self._messages.display or action not in ("follow", "write")

    async def action_earlier(self) -> None:
        await self._messages.show_earlier()
        self.scroll_home(animate=False)

    def action_follow(self) -> None:
        self.anchor()

    def action_write(self) -> None:
        self.post_message(self.WriteRequested(""))

    def on_key(self, event: events.Key) -> None:
        is_letter = event.is_printable and event.character is not None
        if is_letter and event.key not in self.screen.active_bindings:
            event.stop()
            self.post_message(self.WriteRequested(event.character or ""))

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        # A link's text may hide where it goes, so it is shown and copied, not opened.
        event.stop()
        href = clean(event.href)
        self.app.copy_to_clipboard(href)
        self.notify(f"Copied: {href}", markup=False)


def last_answer(messages: Sequence[wire.SessionMessage]) -> str | None:
    return next((message.content for message in reversed(messages) if message.role == "assistant"), None)


def last_code(text: str) -> str | None:
    """The content of the last fenced block."""
    blocks = [match.group(2) for match in _CODE_BLOCK.finditer(text)]
    return blocks[-1] if blocks else None
