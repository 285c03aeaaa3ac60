"""The list of chats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.message import Message

from runner import wire
from runner.text import clean_name
from tui.keys import bindings
from tui.widgets.lists import Row, SideList


class SessionList(SideList):
    """Says what the user wants with a chat; the screen does it."""

    BINDINGS = bindings("Chats")

    @dataclass
    class RenameRequested(Message):
        session: wire.SessionInfo

    @dataclass
    class DeleteRequested(Message):
        session: wire.SessionInfo

    def __init__(self, id: str) -> None:
        super().__init__("Chats", id)
        self._sessions: Sequence[wire.SessionInfo] = ()

    def show_sessions(self, sessions: Sequence[wire.SessionInfo], current: int | None) -> None:
        self._sessions = sessions
        self.show([Row(session.id, clean_name(session.title)) for session in sessions], current)

    @property
    def _chosen(self) -> wire.SessionInfo | None:
        option = self.list.highlighted_option
        ids = {str(session.id): session for session in self._sessions}
        return None if option is None else ids.get(option.id or "")

    def action_rename(self) -> None:
        if self._chosen is not None:
            self.post_message(self.RenameRequested(self._chosen))

    def action_delete(self) -> None:
        if self._chosen is not None:
            self.post_message(self.DeleteRequested(self._chosen))
