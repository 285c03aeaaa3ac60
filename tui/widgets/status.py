"""The top line: where you are on the left, what the model is doing on the right."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from runner.text import clean_name
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

    def show(self, state: State) -> None:
        title = "New chat" if state.session is None else clean_name(state.session.title)
        self._place.update(Content(title))
        mark, words, color = model_state(state)
        name = Content("" if state.model is None else f"{short_model(state.model)}  ")
        what = Content(f"{mark} {words}").stylize(color)
        nothing_to_say = state.model is None and state.lost is None
        self._model_state.update(Content() if nothing_to_say else name + what)
