"""The desk: owns what the app knows, and does all its talking with the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from runner import wire
from runner.client import Client
from runner.errors import DaemonUnreachable, NybbleError, UserError
from runner.text import typed_path
from tui.clock import Clock
from tui.comparing import CHATS, Comparing, Setup
from tui.exporting import Format
from tui.state import Pull, State, request_for

_Answer = TypeVar("_Answer")


class Desk:
    """`state` changes only through `change`; whoever subscribed is told. What the daemon refuses goes to
    `on_problem`; that it does not answer at all is noted in the state."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.clock = clock
        self.state = State()
        self.on_problem: Callable[[wire.ErrorBody], None] = lambda error: None
        self.find_daemon: Callable[[], Awaitable[str]] | None = None
        """Its address; starts one if none runs."""
        self._client = client
        self._listeners: list[Callable[[State], None]] = []

    def subscribe(self, listener: Callable[[State], None]) -> None:
        self._listeners.append(listener)
        listener(self.state)

    def change(self, state: State) -> None:
        if state != self.state:
            self.state = state
            for listener in self._listeners:
                listener(state)

    async def close(self) -> None:
        await self._client.close()

    async def refresh(self) -> None:
        """Asks for everything again: notices that the daemon is gone or back, and what others did to it."""
        if (models := await self._ask(self._client.models())) is not None:
            self.change(self.state.with_models(models))
            await self.refresh_sessions()
            await self.refresh_loaded()

    async def reconnect(self) -> None:
        """`refresh`, and a daemon that has ended is started again."""
        if self.state.lost and self.find_daemon and (address := await self._ask(self.find_daemon())):
            before, self._client = self._client, Client(address)
            await before.close()
        await self.refresh()

    async def refresh_sessions(self) -> None:
        if (sessions := await self._ask(self._client.sessions())) is not None:
            self.change(self.state.with_sessions(sessions))

    async def refresh_loaded(self) -> None:
        if (loaded := await self._ask(self._client.loaded())) is not None:
            self.change(replace(self.state, loaded=tuple(loaded)))

    # Chats

    async def open(self, session_id: int) -> None:
        if (session := await self._ask(self._client.session(session_id))) is not None:
            self.change(self.state.with_session(session))

    async def rename(self, session_id: int, title: str) -> None:
        body = wire.SessionUpdate(title=title)
        if (renamed := await self._ask(self._client.update_session(session_id, body))) is not None:
            if self.state.is_open(session_id):
                self.change(replace(self.state, session=renamed))
            await self.refresh_sessions()

    async def delete(self, session_id: int) -> None:
        if await self._ask(_done(self._client.delete_session(session_id))):
            if self.state.is_open(session_id):
                self.change(self.state.without_session())
            await self.refresh_sessions()

    async def keep(self, message: wire.SessionMessage) -> bool:
        """Saves a message of the current chat, which begins with the first one. False if that failed."""
        session = self.state.session or await self._begin()
        kept = None if session is None else await self._ask(self._client.add_message(session.id, message))
        if kept is not None:
            self.change(replace(self.state, messages=(*self.state.messages, kept)))
            await self.refresh_sessions()
        return kept is not None

    async def _begin(self) -> wire.SessionInfo | None:
        session = await self._ask(self._client.create_session(wire.SessionCreate(model=self.state.model)))
        if session is not None:
            self.change(replace(self.state, session=session))
        return session

    # Models

    async def use(self, name: str) -> None:
        """Makes a local model the current one, also of the current chat."""
        self.change(self.state.with_model(name))
        if self.state.session is not None:
            body = wire.SessionUpdate(model=name)
            await self._ask(self._client.update_session(self.state.session.id, body))

    def answer(self, model: wire.ModelInfo) -> AsyncIterator[wire.Progressing | wire.Done]:
        """Asks `model` for an answer to the last message; raises what the client raises."""
        return self._client.generate(request_for(self.state, model))

    def note(self, event: wire.Progressing) -> None:
        """What a running answer reports."""
        if self.state.turn is not None:
            turn = self.state.turn.after(event, self.clock.elapsed_s())
            self.change(replace(self.state, turn=turn))

    async def pull(self, name: str) -> None:
        """Pulls a model and makes it the current one. Cancelling stops the pull; a later one goes on."""
        self.change(replace(self.state, pull=Pull(name), pull_error=None))
        try:
            async for event in self._client.pull(name):
                if isinstance(event, wire.JobProgress) and self.state.pull is not None:
                    pull = self.state.pull.after(event, self.clock.elapsed_s())
                    self.change(replace(self.state, pull=pull))
                elif isinstance(event, wire.JobDone) and self.state.turn is None:
                    self.change(self.state.with_model(event.model.name))
        except NybbleError as error:
            self.change(replace(self.state, pull_error=reported(error)))
        finally:
            self.change(replace(self.state, pull=None))
        await self.refresh()

    # Comparisons

    def compare_as(self, comparing: Comparing) -> None:
        self.change(replace(self.state, comparing=comparing))

    def set_up(self, setup: Setup) -> None:
        self.compare_as(replace(self.state.comparing, setup=setup))

    async def compare(self, setup: Setup) -> None:
        """Compares with its model, or that of the chat. Cancelling stops it; the same once more goes on from
        there."""
        model = setup.model or self.state.model
        if model is None:
            return
        self.compare_as(self.state.comparing.begun(replace(setup, model=model)))
        try:
            request = setup.request(model, await self._text(setup.text))
            async with aclosing(self._client.compare(request)) as events:
                async for event in events:
                    now = self.state.comparing
                    if now.run is not None:
                        self.compare_as(replace(now, run=now.run.after(event)))
        except NybbleError as error:
            self.compare_as(replace(self.state.comparing, error=reported(error)))
        finally:
            self.compare_as(replace(self.state.comparing, is_running=False))

    async def _text(self, choice: str) -> str | None:
        if choice == CHATS:
            return await self._client.all_said()
        return await asyncio.to_thread(_read, choice) if choice else None

    async def refresh_comparisons(self) -> None:
        if (earlier := await self._ask(self._client.comparisons())) is not None:
            self.compare_as(replace(self.state.comparing, earlier=tuple(earlier)))

    async def open_comparison(self, number: int) -> None:
        if (opened := await self._ask(self._client.comparison(number))) is not None:
            self.compare_as(self.state.comparing.with_opened(opened))

    async def export(self, number: int, file: Path, format_name: Format) -> bool:
        """Writes a comparison to a new file. False if that failed."""
        rendered = await self._ask(self._client.exported(number, format_name))
        return rendered is not None and bool(await self._ask(asyncio.to_thread(_write, file, rendered)))

    async def _ask(self, call: Awaitable[_Answer]) -> _Answer | None:
        try:
            answer = await call
        except DaemonUnreachable as error:
            self.change(replace(self.state, lost=reported(error)))
            return None
        except NybbleError as error:
            self.on_problem(reported(error))
            return None
        self.change(replace(self.state, lost=None))
        return answer


def _read(path: str) -> str:
    try:
        return typed_path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", hint="the text is a file of UTF-8") from None


def _write(file: Path, text: str) -> bool:
    try:
        with file.open("x", encoding="utf-8", newline="\n") as written:
            written.write(text)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error}", hint="save it under another name") from None
    return True


async def _done(call: Awaitable[None]) -> bool:
    await call
    return True


def reported(error: NybbleError) -> wire.ErrorBody:
    return wire.ErrorBody.model_validate(error, from_attributes=True)
