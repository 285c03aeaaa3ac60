"""The list of chats."""

from __future__ import annotations

from collections.abc import Sequence

from runner import wire
from runner.text import clean_name
from tui.keys import bindings
from tui.widgets.lists import Row, SideList


class SessionList(SideList):
    BINDINGS = bindings("Chats")

    def __init__(self, id: str) -> None:
        super().__init__("Chats", id)
        self._sessions: Sequence[wire.SessionInfo] = ()

    def show_sessions(self, sessions: Sequence[wire.SessionInfo], current: int | None) -> None:
        self._sessions = sessions
        self.show([Row(session.id, clean_name(session.title)) for session in sessions], current)

    @property
    def chosen(self) -> wire.SessionInfo | None:
        option = self.list.highlighted_option
        ids = {str(session.id): session for session in self._sessions}
        return None if option is None else ids.get(option.id or "")
