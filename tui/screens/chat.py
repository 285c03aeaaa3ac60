"""The chat screen: the list of chats beside the conversation."""

from __future__ import annotations

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from runner.text import clean_name
from tui.desk import Desk
from tui.keys import bindings
from tui.screens.picker import ModelPicker
from tui.screens.question import Ask, Confirm
from tui.state import FIRST_MODEL, State
from tui.widgets.conversation import Conversation
from tui.widgets.key_line import KeyLine
from tui.widgets.sessions import SessionList
from tui.widgets.status import StatusLine, model_line
from tui.widgets.transcript import last_answer, last_code


class ChatScreen(Screen[None]):
    BINDINGS = bindings("Chat")
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.conversation = Conversation(desk, id="conversation")
        self._status = StatusLine()
        self._chats = SessionList(id="sessions")
        self._shown = State()

    def compose(self) -> ComposeResult:
        yield self._status
        with Horizontal():
            yield self._chats
            yield self.conversation
        yield KeyLine()

    async def on_mount(self) -> None:
        self.desk.subscribe(self._show)
        self.conversation.enter()

    def _show(self, state: State) -> None:
        before, self._shown = self._shown, state
        title = "New chat" if state.session is None else clean_name(state.session.title)
        self._status.show(title, model_line(state))
        self._chats.show_sessions(state.sessions, None if state.session is None else state.session.id)
        self.conversation.show(state)
        if _actions(before) != _actions(state):
            self.refresh_bindings()
        if _can_chat(before) != _can_chat(state):
            self.conversation.enter()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return _actions(self.desk.state).get(action, True)

    def action_stop(self) -> None:
        """The answer first; a pull only when no answer is on its way."""
        if self.desk.state.turn is not None:
            self.conversation.stop()
        else:
            self.workers.cancel_group(self, "pull")

    @work(group="retry", exclusive=True)
    async def action_retry(self) -> None:
        await self.desk.reconnect()
        if self.desk.state.lost is None:
            self.conversation.retry()

    # Chats

    def action_sessions(self) -> None:
        self.add_class("-sessions")
        self._chats.action_enter()

    @work(group="open", exclusive=True)
    async def action_new_chat(self) -> None:
        if self._may_leave():
            self.desk.change(self.desk.state.without_session())
            await self._enter_chat()

    @on(SessionList.Opened)
    def _open(self, event: SessionList.Opened) -> None:
        self.open_session(event.id)

    @work(group="open", exclusive=True)
    async def open_session(self, session_id: int) -> None:
        if self._may_leave():
            await self.desk.open(session_id)
            await self._enter_chat()

    @on(SessionList.Left)
    def _leave_chats(self) -> None:
        self.remove_class("-sessions")
        self.conversation.enter()

    @work
    async def action_rename_chat(self) -> None:
        if (session := self._chats.chosen) is None:
            return
        before = clean_name(session.title)
        title = await self.app.push_screen_wait(Ask("Name of the chat", before))
        if title and title != before:
            await self.desk.rename(session.id, title)

    @work
    async def action_delete_chat(self) -> None:
        if (session := self._chats.chosen) is None:
            return
        is_current = self.desk.state.is_open(session.id)
        if is_current and not self._may_leave():
            return
        if await self.app.push_screen_wait(Confirm(f"Delete “{clean_name(session.title)}”?")):
            await self.desk.delete(session.id)
            if is_current:
                await self.conversation.show_messages()

    def _may_leave(self) -> bool:
        if self.desk.state.turn is None:
            return True
        self.notify("An answer is being written. Esc stops it and keeps what has arrived.", markup=False)
        return False

    async def _enter_chat(self) -> None:
        await self.conversation.show_messages()
        self._leave_chats()

    # Models

    @work(group="picker", exclusive=True)
    async def action_pick_model(self) -> None:
        choice = await self.app.push_screen_wait(ModelPicker(self.desk.state))
        if choice is None:
            return
        if choice.is_pull:
            self.pull(choice.name)
        else:
            await self.desk.use(choice.name)

    @work(group="picker", exclusive=True)
    async def use_model(self, name: str) -> None:
        await self.desk.use(name)

    def action_pull_first(self) -> None:
        self.pull(FIRST_MODEL)

    def pull(self, name: str) -> None:
        if self.desk.state.pull is None:
            self.run_worker(self.desk.pull(name), group="pull")
        else:
            self.notify("A pull is running. Esc stops it.", markup=False)

    def action_copy(self, what: str) -> None:
        """The last answer, or the last block of code in it."""
        answer = last_answer(self.desk.state.messages)
        text, name = (answer, "answer") if what == "answer" else (last_code(answer or ""), "block of code")
        if text:
            self.app.copy_to_clipboard(text)
        self.notify(f"Copied the last {name}." if text else f"There is no {name} to copy.", markup=False)


def _actions(state: State) -> dict[str, bool]:
    """The actions that are not always there, and whether they are."""
    has_failed = state.lost is not None or state.unanswered is not None
    return {
        "stop": state.is_busy,
        "retry": state.turn is None and has_failed,
        "pull_first": state.pull is None,
        "copy": bool(state.messages),
    }


def _can_chat(state: State) -> bool | None:
    """None: not known yet."""
    return None if state.models is None else state.current_model is not None
