"""The state of a conversation in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstore.errors import UserError
from runner.wire import GenerateRequest, Message, SessionCreate, SessionMessage

if TYPE_CHECKING:
    from runner.client import Client
    from runner.wire import ModelInfo


class Conversation:
    """`messages` are those that the model sees; a model that does not chat sees only the last text. `asked`
    is what stays the same from one request to the next, until the user changes it; `verbose` prints times."""

    def __init__(self, client: Client, model: ModelInfo, asked: GenerateRequest, *, verbose: bool) -> None:
        self.client = client
        self.model = model
        self.asked = asked
        self.verbose = verbose
        self.messages: list[Message] = []

    def request(self, text: str) -> GenerateRequest:
        said: dict[str, object] = {"prompt": text}
        if self.model.has_chat_template and not self.asked.raw:
            said = {"messages": [*self.messages, Message(role="user", content=text)]}
        return self.asked.model_copy(update={"model": self.model.name, **said})

    def remember(self, text: str, answer: str) -> None:
        """Keep a turn; one without any answer is as if it had not been."""
        if answer:
            self.messages.append(Message(role="user", content=text))
            self.messages.append(Message(role="assistant", content=answer))

    async def save(self, title: str) -> None:
        """Keep the conversation as a session, replacing one of the same title."""
        if not self.messages:
            raise UserError("there is nothing to save yet")
        old = await self._session_id(title)
        session = await self.client.create_session(SessionCreate(title=title, model=self.model.name))
        system = [Message(role="system", content=self.asked.system)] if self.asked.system else []
        for message in [*system, *self.messages]:
            row = SessionMessage.model_validate({**message, "model": self.model.name})
            await self.client.add_message(session.id, row)
        if old is not None:
            await self.client.delete_session(old)

    async def load(self, title: str) -> None:
        session_id = await self._session_id(title)
        if session_id is None:
            titles = ", ".join(repr(session.title) for session in await self.client.sessions())
            raise UserError(f"no session {title!r}", hint=f"sessions: {titles}" if titles else None)
        session = await self.client.session(session_id)
        if session.model is not None and session.model != self.model.name:
            self.model = await self.client.show(session.model)
        system = [message.content for message in session.messages if message.role == "system"]
        self.asked.system = system[0] if system else None
        self.messages = [
            Message(role=message.role, content=message.content)
            for message in session.messages
            if message.role != "system"
        ]

    async def _session_id(self, title: str) -> int | None:
        return next((found.id for found in await self.client.sessions() if found.title == title), None)
