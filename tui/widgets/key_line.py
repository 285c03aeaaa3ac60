"""The bottom line: the keys that do something now. A click on one presses it.

One line of text: Textual's own footer builds a widget for every key whenever the focus moves, and that took a
third of the app's time.
"""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widgets import Static


class KeyLine(Horizontal):
    def __init__(self) -> None:
        super().__init__()
        self._keys = Static(classes="keys", markup=False)
        self._palette = Static(classes="palette", markup=False)
        # What is clicked here should not look like a link.
        self._keys.auto_links = self._palette.auto_links = False

    def compose(self) -> ComposeResult:
        yield self._keys
        yield self._palette

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._show)

    def _show(self, screen: Screen[object]) -> None:
        active = [binding.binding for binding in screen.active_bindings.values() if binding.enabled]
        shown = {binding.action: binding for binding in reversed(active) if binding.show}
        ordered = [binding for binding in active if shown.get(binding.action) is binding]
        self._keys.update(Content("  ").join(self._spelled(binding) for binding in ordered))
        palette = [binding for binding in active if binding.action == "command_palette"]
        self._palette.update(Content("  ").join(self._spelled(binding) for binding in palette))

    def _spelled(self, binding: Binding) -> Content:
        press = Style.from_meta({"@click": f"app.simulate_key({binding.key!r})"})
        key = Content(self.app.get_key_display(binding)).stylize("bold $accent")
        return (key + Content(f" {binding.description}")).stylize(press)
