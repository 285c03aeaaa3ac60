"""One thing that was said: by the user, by a model, or by nybble when a turn failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from runner import wire
from runner.text import clean
from tui.widgets.markdown import ModelMarkdown
from tui.wording import problem, short_model

STOPPED = "stopped · what had arrived is kept"
NOT_KEPT = "stopped · what had arrived could not be saved"


class Said(Vertical):
    """`again` builds the same message anew: a widget that was removed cannot come back."""

    def __init__(self, again: Callable[[], Said]) -> None:
        super().__init__(classes="message")
        self.again = again


class UserMessage(Said):
    def __init__(self, text: str, said_at: datetime | None) -> None:
        super().__init__(partial(UserMessage, text, said_at))
        self._text = clean(text)
        self._said_at = said_at

    def compose(self) -> ComposeResult:
        with Horizontal(classes="byline"):
            yield Static("you", classes="speaker", markup=False)
            time = "" if self._said_at is None else f"{self._said_at:%H:%M}"
            yield Static(time, classes="time", markup=False)
        yield Static(Content(self._text), classes="text", markup=False)


class Answer(Said):
    """`text` is what had been written when the answer was kept; a new answer begins empty."""

    def __init__(self, model: str | None, text: str = "", footer: str = "") -> None:
        super().__init__(partial(Answer, model, text, footer))
        self._model = model
        self._text = clean(text)
        self.markdown = ModelMarkdown()
        self._footer = Static(Content(footer), classes="usage", markup=False)

    def compose(self) -> ComposeResult:
        name = "answer" if self._model is None else short_model(self._model)
        yield Static(Content(name), classes="speaker", markup=False)
        yield self.markdown
        yield self._footer

    async def on_mount(self) -> None:
        if self._text:
            await self.markdown.add(self._text)

    def show_footer(self, footer: str) -> None:
        self._footer.update(Content(footer))

    def end(self, text: str, footer: str) -> None:
        """Nothing comes any more; `text` is all of it."""
        self.show_footer(footer)
        self.again = partial(Answer, self._model, text, footer)


class Failure(Said):
    def __init__(self, error: wire.ErrorBody) -> None:
        super().__init__(partial(Failure, error))
        self._reason, *self._hint = problem(error)

    def compose(self) -> ComposeResult:
        yield Static(Content(self._reason), classes="reason", markup=False)
        for hint in self._hint:
            yield Static(Content(hint), classes="hint", markup=False)


def shown(message: wire.SessionMessage, zone_of: datetime) -> UserMessage | Answer:
    """The widget for a message of the history; its time in the zone of `zone_of`."""
    if message.role == "assistant":
        return Answer(message.model, message.content, STOPPED if message.is_partial else "")
    said_at = message.created_at
    return UserMessage(message.content, None if said_at is None else said_at.astimezone(zone_of.tzinfo))
