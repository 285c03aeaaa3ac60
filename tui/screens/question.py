"""Small questions over the screen: yes or no, and one line of text."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from runner.text import clean_name
from tui.keys import bindings, hint


class Confirm(ModalScreen[bool]):
    """Answers True only for an explicit yes."""

    BINDINGS = bindings("Questions")

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._question), classes="question", markup=False)
            yield Static(hint("Questions"), classes="hint", markup=False)

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Rename(ModalScreen[str | None]):
    """Answers the new name, or None for no change."""

    BINDINGS = bindings("Name")

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = clean_name(title)
        self._input = Input(self._title, compact=True)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Name of the chat", classes="question", markup=False)
            yield self._input
            yield Static(hint("Name"), classes="hint", markup=False)

    def on_input_submitted(self) -> None:
        self.action_keep()

    def action_keep(self) -> None:
        title = self._input.value.strip()
        self.dismiss(title if title and title != self._title else None)

    def action_cancel(self) -> None:
        self.dismiss(None)
