"""Small questions over the screen: yes or no, and one line of text."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

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


class Ask(ModalScreen[str | None]):
    """Answers what was typed, or None for no change. `wrong` says what is wrong with an answer."""

    BINDINGS = bindings("Words")

    def __init__(self, question: str, value: str, wrong: Callable[[str], str | None] | None = None) -> None:
        super().__init__()
        self._question = question
        self._input = Input(value, compact=True)
        self._wrong = wrong
        self._problem = Static(classes="problem", markup=False)
        self._problem.display = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="question", markup=False)
            yield self._input
            yield self._problem
            yield Static(hint("Words"), classes="hint", markup=False)

    @on(Input.Submitted)
    def action_keep(self) -> None:
        value = self._input.value.strip()
        if (problem := self._wrong(value) if self._wrong and value else None) is None:
            self.dismiss(value)
        else:
            self._problem.update(problem)
            self._problem.display = True
