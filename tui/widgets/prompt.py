"""Where the message is typed: grows with it, Enter sends."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.widgets import TextArea

from tui.keys import bindings


class Prompt(TextArea):
    """Posts `Submitted`; whoever handles it clears the text, so that nothing typed is lost when it cannot be
    sent."""

    BINDINGS = bindings("Prompt")

    @dataclass
    class Submitted(Message):
        text: str

    class Left(Message):
        """The user wants to look at the chat."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, soft_wrap=True, highlight_cursor_line=False, compact=True)
        self.border_subtitle = "Enter sends · Ctrl+J adds a line"

    def restore(self, text: str) -> None:
        """Puts back what could not be answered, unless something new was typed meanwhile."""
        if not self.text:
            self.text = text
            self.move_cursor(self.document.end)

    def action_send(self) -> None:
        if self.text.strip():
            self.post_message(self.Submitted(self.text.strip()))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_leave(self) -> None:
        self.post_message(self.Left())
