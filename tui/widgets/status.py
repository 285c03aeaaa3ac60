"""The top line: where you are on the left, what is going on on the right."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from tui.state import State
from tui.wording import model_state, short_model


class StatusLine(Horizontal):
    def __init__(self) -> None:
        super().__init__()
        self._place = Static(id="place", markup=False)
        self._model_state = Static(id="model-state", markup=False)

    def compose(self) -> ComposeResult:
        yield Static("▚ nybble", id="brand", markup=False)
        yield self._place
        yield self._model_state

    def show(self, place: str, what: Content) -> None:
        self._place.update(Content(place))
        self._model_state.update(what)


def model_line(state: State) -> Content:
    """The current model and what it is doing."""
    if state.model is None and state.lost is None:
        return Content()
    return doing(state.model, *model_state(state))


def doing(model: str | None, mark: str, words: str, color: str) -> Content:
    name = Content("" if model is None else f"{short_model(model)}  ")
    return name + Content(f"{mark} {words}").stylize(color)
