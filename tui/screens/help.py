"""All keys, from the table that binds them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.keys import GROUPS, bindings, spelled

_INTRODUCTION = (
    "Write in the prompt and press Enter. Esc stops an answer; what has arrived of it is kept. "
    "Chats are saved as they grow and are listed on the left, or with Ctrl+L. "
    "Single letters work where no text field has the focus: Esc leaves the prompt."
)


class HelpScreen(ModalScreen[None]):
    BINDINGS = bindings("Help")

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog", id="help") as dialog:
            dialog.border_subtitle = "↑ ↓ scroll · Esc closes"
            yield Static(_INTRODUCTION, classes="introduction", markup=False)
            for group, keys in GROUPS.items():
                yield Static(group, classes="heading", markup=False)
                for key in keys:
                    with Horizontal():
                        yield Static(spelled(key.key), classes="key", markup=False)
                        yield Static(key.tooltip, classes="sentence", markup=False)
