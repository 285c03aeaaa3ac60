"""The list of chats."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from runner import wire
from runner.text import clean_name
from tui.fuzzy import ranked
from tui.keys import bindings


class SessionList(Vertical):
    """Says what the user wants with a chat; the screen does it."""

    BINDINGS = bindings("Chats")

    @dataclass
    class Opened(Message):
        session_id: int

    @dataclass
    class RenameRequested(Message):
        session: wire.SessionInfo

    @dataclass
    class DeleteRequested(Message):
        session: wire.SessionInfo

    class Left(Message):
        pass

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="side")
        self._sessions: tuple[wire.SessionInfo, ...] = ()
        self._search = Input(placeholder="search", compact=True)
        self._search.display = False
        self._none = Static("None yet", classes="none", markup=False)
        self._list = OptionList(markup=False, compact=True)

    def compose(self) -> ComposeResult:
        yield Static("Chats", classes="heading", markup=False)
        yield self._search
        yield self._none
        yield self._list

    def show(self, sessions: tuple[wire.SessionInfo, ...], current_id: int | None) -> None:
        if sessions != self._sessions:
            self._sessions = sessions
            self._fill()
        if current_id is not None and not self._list.has_focus:
            self._highlight(current_id)

    def enter(self) -> None:
        if self._list.highlighted is None:
            self._list.action_first()
        self._list.focus()

    @property
    def _chosen(self) -> wire.SessionInfo | None:
        option = self._list.highlighted_option
        ids = {str(session.id): session for session in self._sessions}
        return None if option is None else ids.get(option.id or "")

    def _fill(self) -> None:
        chosen = self._chosen
        names = [(clean_name(session.title), session) for session in self._sessions]
        hits = ranked(self._search.value, names)
        self._list.set_options(Option(content, id=str(session.id)) for content, session in hits)
        self._none.display = not hits
        self._none.update(Content("Nothing matches" if self._sessions else "None yet"))
        if chosen is not None:
            self._highlight(chosen.id)

    def _highlight(self, session_id: int) -> None:
        ids = [option.id for option in self._list.options]
        if str(session_id) in ids:
            self._list.highlighted = ids.index(str(session_id))

    def on_input_changed(self) -> None:
        self._fill()
        self._list.action_first()

    def on_input_submitted(self) -> None:
        self._list.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self.post_message(self.Opened(int(event.option_id)))

    def action_filter(self) -> None:
        self._search.display = True
        self._search.focus()

    def action_leave(self) -> None:
        """First ends the search, then goes back."""
        if self._search.display:
            self._search.value = ""
            self._search.display = False
            self._list.focus()
        else:
            self.post_message(self.Left())

    def action_rename(self) -> None:
        if self._chosen is not None:
            self.post_message(self.RenameRequested(self._chosen))

    def action_delete(self) -> None:
        if self._chosen is not None:
            self.post_message(self.DeleteRequested(self._chosen))

    def action_select(self) -> None:
        self._list.action_select()

    def action_cursor_down(self) -> None:
        self._list.action_cursor_down()

    def action_cursor_up(self) -> None:
        self._list.action_cursor_up()

    def action_first(self) -> None:
        self._list.action_first()

    def action_last(self) -> None:
        self._list.action_last()
