"""Where the message is typed: grows with it, Enter sends."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from tui.keys import actions, bindings

_ACTIONS = actions("Prompt")


class Prompt(TextArea):
    """Posts `Submitted` and is empty then; `give_back` is for text that could not be sent."""

    BINDINGS = bindings("Prompt")

    @dataclass
    class Submitted(Message):
        text: str

    class Left(Message):
        """The user wants to look at the chat."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, soft_wrap=True, highlight_cursor_line=False, compact=True)
        self.border_subtitle = "Enter sends · Ctrl+J adds a line"

    def give_back(self, text: str) -> None:
        """Puts `text` before what was typed meanwhile."""
        self.text = f"{text}\n{self.text}" if self.text else text
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        # Not as a binding with priority: that would overtake the letters that wait in this widget's queue.
        if (action := _ACTIONS.get(event.key)) is not None:
            event.stop()
            event.prevent_default()
            await self.run_action(action)

    def action_send(self) -> None:
        text, self.text = self.text.strip(), ""
        if text:
            self.post_message(self.Submitted(text))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_leave(self) -> None:
        self.post_message(self.Left())
