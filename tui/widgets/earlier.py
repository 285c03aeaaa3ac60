"""The list of earlier comparisons."""

from __future__ import annotations

from datetime import tzinfo

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from runner.text import clean_name
from runner.wire.compare import ComparisonInfo
from tui.keys import bindings
from tui.wording import short_model


class EarlierList(Vertical):
    """A chosen one arrives at the screen as OptionList.OptionSelected with its number as the id."""

    BINDINGS = bindings("Earlier comparisons")

    class Left(Message):
        pass

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="side")
        self._infos: tuple[ComparisonInfo, ...] = ()
        self._none = Static("None yet", classes="none", markup=False)
        self._list = OptionList(markup=False, compact=True)

    def compose(self) -> ComposeResult:
        yield Static("Comparisons", classes="heading", markup=False)
        yield self._none
        yield self._list

    def show(self, infos: tuple[ComparisonInfo, ...], zone: tzinfo | None) -> None:
        if infos != self._infos:
            self._infos = infos
            self._list.set_options(Option(_row(info, zone), id=str(info.id)) for info in infos)
            self._none.display = not infos

    def enter(self) -> None:
        if self._list.highlighted is None:
            self._list.action_first()
        self._list.focus()

    def action_select(self) -> None:
        self._list.action_select()

    def action_cursor_down(self) -> None:
        self._list.action_cursor_down()

    def action_cursor_up(self) -> None:
        self._list.action_cursor_up()

    def action_leave(self) -> None:
        self.post_message(self.Left())


def _row(info: ComparisonInfo, zone: tzinfo | None) -> Content:
    what = f"★ {clean_name(info.choice)}" if info.choice else "no choice" if info.is_finished else "stopped"
    when = info.created_at.astimezone(zone).strftime("%b %d")
    return Content(short_model(info.model)) + Content(f"\n {when} · {what}").stylize("$foreground-muted")
