"""Lists that are moved through with letters, and the searchable one at the side of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.fuzzy import ranked
from tui.keys import bindings
from tui.widgets.paint import dim


class KeyList(OptionList, inherit_bindings=False):
    """Left and right are free for what stands around it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("Lists")

    def __init__(self) -> None:
        super().__init__(markup=False, compact=True)

    def refill(self, options: Sequence[Option]) -> None:
        """The cursor stays on what it was on if that is still there."""
        before = self.highlighted_option
        self.set_options(options)
        self.mark(None if before is None else before.id)

    def mark(self, id: str | None) -> None:
        ids = [option.id for option in self.options]
        if id is not None and id in ids:
            self.highlighted = ids.index(id)


@dataclass(frozen=True, slots=True)
class Row:
    """`name` is searched, `detail` stands below it; both are safe to show."""

    id: int
    name: str
    detail: str = ""


class SideList(Vertical):
    """Says what was chosen; the screen does it."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("List at the side")

    @dataclass
    class Opened(Message):
        id: int

    class Left(Message):
        pass

    def __init__(self, heading: str, id: str) -> None:
        super().__init__(id=id, classes="side")
        self._heading = heading
        self._rows: tuple[Row, ...] | None = None
        self._search = Input(placeholder="search", compact=True)
        self._search.display = False
        self._none = Static(classes="none", markup=False)
        self.list = KeyList()

    def compose(self) -> ComposeResult:
        yield Static(self._heading, classes="heading", markup=False)
        yield self._search
        yield self._none
        yield self.list

    def show(self, rows: Sequence[Row], current: int | None = None) -> None:
        if tuple(rows) != self._rows:
            self._rows = tuple(rows)
            self._fill()
        if current is not None and not self.list.has_focus:
            self.list.mark(str(current))

    def _fill(self) -> None:
        rows = self._rows or ()
        hits = ranked(self._search.value, [(row.name, row) for row in rows])
        self.list.refill([Option(_shown(content, row), id=str(row.id)) for content, row in hits])
        self._none.display = not hits
        self._none.update("Nothing matches" if rows else "None yet")

    def on_input_changed(self) -> None:
        self._fill()
        self.list.action_first()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Opened(int(event.option_id or 0)))

    @on(Input.Submitted)
    def action_enter(self) -> None:
        if self.list.highlighted is None:
            self.list.action_first()
        self.list.focus()

    def action_filter(self) -> None:
        self._search.display = True
        self._search.focus()

    def action_leave(self) -> None:
        """First ends the search, then goes back."""
        if self._search.display:
            self._search.value = ""
            self._search.display = False
            self.list.focus()
        else:
            self.post_message(self.Left())


def _shown(name: Content, row: Row) -> Content:
    return name + dim(f"\n{row.detail}") if row.detail else name
