"""Choosing a model: fuzzy search in what is here; a name that is not here can be pulled."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from runner import wire
from runner.text import clean_name
from tui.fuzzy import ranked
from tui.keys import bindings, hint
from tui.state import State
from tui.widgets.paint import dim
from tui.wording import model_facts


@dataclass(frozen=True, slots=True)
class Choice:
    """A local model to use, or a name to pull."""

    name: str
    is_pull: bool


class ModelPicker(ModalScreen[Choice | None]):
    BINDINGS = bindings("Model picker")

    def __init__(self, state: State) -> None:
        super().__init__()
        self._models = state.models or ()
        self._current = state.model
        self._ready = {loaded.name for loaded in state.loaded if loaded.state == "ready"}
        self._choices: list[Choice] = []
        self._options = OptionList(markup=False, compact=True)
        self._options.can_focus = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="picker"):
            yield Static("Models", classes="question", markup=False)
            yield Input(placeholder="search, or a name to pull", compact=True)
            yield self._options
            yield Static(hint("Model picker"), classes="hint", markup=False)

    def on_mount(self) -> None:
        self._fill("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value.strip())

    def action_move(self, steps: int) -> None:
        options = self._options
        if options.option_count:
            options.highlighted = ((options.highlighted or 0) + steps) % options.option_count

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def action_choose(self) -> None:
        highlighted = self._options.highlighted
        if highlighted is not None:
            self.dismiss(self._choices[highlighted])

    def _fill(self, query: str) -> None:
        hits = ranked(query, [(clean_name(model.name), model) for model in self._models])
        self._choices = [Choice(model.name, False) for _, model in hits]
        rows = [self._row(name, model) for name, model in hits]
        if query and query not in [model.name for model in self._models]:
            self._choices.append(Choice(query, True))
            rows.append(Content("↓ pull ").stylize("$text-accent") + Content(clean_name(query)))
        options = self._options
        options.set_options(Option(row) for row in rows)
        options.highlighted = 0 if rows else None
        if not query and (current := Choice(self._current or "", False)) in self._choices:
            options.highlighted = self._choices.index(current)

    def _row(self, name: Content, model: wire.ModelInfo) -> Content:
        mark = "●" if model.name in self._ready else "○"
        color = "$text-success" if model.name in self._ready else "$foreground 70%"
        facts = dim(f"\n  {model_facts(model)}")
        return Content(f"{mark} ").stylize(color) + name + facts
