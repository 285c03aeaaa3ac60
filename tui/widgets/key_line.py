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

_GAP = Content("  ")
_ALWAYS = ("help", "command_palette")
"""Actions at the right end, where there is always room for them: they show all other keys."""


class KeyLine(Horizontal):
    def __init__(self) -> None:
        super().__init__()
        self._spelled_keys: list[Content] = []
        self._keys = Static(classes="keys", markup=False)
        self._always = Static(classes="always", markup=False)
        # What is clicked here should not look like a link.
        self._keys.auto_links = self._always.auto_links = False

    def compose(self) -> ComposeResult:
        yield self._keys
        yield self._always

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._show)

    def _show(self, screen: Screen[object]) -> None:
        active = [binding.binding for binding in screen.active_bindings.values() if binding.enabled]
        by_action = {binding.action: binding for binding in reversed(active)}
        firsts = [binding for binding in active if by_action[binding.action] is binding]
        shown = [binding for binding in firsts if binding.show and binding.action not in _ALWAYS]
        self._spelled_keys = [self._spelled(binding) for binding in shown]
        always = [self._spelled(by_action[action]) for action in _ALWAYS if action in by_action]
        self._always.update(_GAP.join(always))
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Whole keys only: half a word explains nothing."""
        room, shown = self._keys.size.width, Content()
        for key in self._spelled_keys:
            longer = _GAP.join([shown, key]) if shown else key
            if longer.cell_length > room:
                break
            shown = longer
        self._keys.update(shown)

    on_resize = _fit

    def _spelled(self, binding: Binding) -> Content:
        press = Style.from_meta({"@click": f"app.simulate_key({binding.key!r})"})
        key = Content(self.app.get_key_display(binding)).stylize("bold $text-accent")
        return (key + Content(f" {binding.description}")).stylize(press)
