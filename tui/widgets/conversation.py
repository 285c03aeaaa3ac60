"""The middle of the chat screen: transcript and prompt, and the taking of turns."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from runner import wire
from tui.desk import Desk
from tui.state import State, Turn
from tui.turn import Heard, hear
from tui.widgets.messages import NOT_KEPT, STOPPED, Answer, Failure, UserMessage, shown
from tui.widgets.prompt import Prompt
from tui.widgets.transcript import Transcript
from tui.wording import decode_tps, notice, progress, short_model, usage


class Conversation(Vertical):
    """Shows the chat of the desk's state and lets the user go on with it."""

    def __init__(self, desk: Desk, id: str) -> None:
        super().__init__(id=id)
        self._desk = desk
        self._stopped = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.transcript = Transcript(id="transcript")
        self._notice = Static(id="notice", markup=False)
        self.prompt = Prompt(id="prompt")

    def compose(self) -> ComposeResult:
        yield self.transcript
        yield self._notice
        yield self.prompt

    def show(self, state: State) -> None:
        self.transcript.show(state)
        self._show_notice(state)
        model = state.current_model
        self.prompt.display = model is not None
        if model is not None:
            verb = "Ask" if model.has_chat_template else "Text to be continued by"
            self.prompt.placeholder = Content(f"{verb} {short_model(model.name)}")

    def enter(self) -> None:
        """Puts the focus where the next key belongs."""
        if self._desk.state.current_model is not None:
            self.prompt.focus()
        else:
            self.transcript.empty.focus()

    async def show_messages(self) -> None:
        """After another chat was opened."""
        now = self._desk.clock.now()
        await self.transcript.replace([partial(shown, message, now) for message in self._desk.state.messages])

    def stop(self) -> None:
        """Ends a running answer; what has arrived is saved soon after."""
        self._stopped.set()

    async def finish(self) -> None:
        """Ends a running answer and returns when what has arrived is saved."""
        self.stop()
        await self._is_idle.wait()

    def retry(self) -> None:
        """Asks again what has no answer."""
        text = self._desk.state.unanswered
        if text is not None and self._start(text) and self.prompt.text.strip() == text:
            self.prompt.text = ""

    @on(Prompt.Submitted)
    def _send(self, event: Prompt.Submitted) -> None:
        if not self._start(event.text):
            self.prompt.give_back(event.text)

    @on(Prompt.Left)
    def _read(self) -> None:
        self.transcript.focus()

    @on(Transcript.WriteRequested)
    def _write(self, event: Transcript.WriteRequested) -> None:
        self.prompt.focus()
        self.prompt.insert(event.text)

    def _start(self, text: str) -> bool:
        """False if no answer can be asked for now."""
        model = self._desk.state.current_model
        if model is None or self._desk.state.turn is not None:
            return False
        self._stopped.clear()
        self._is_idle.clear()
        self._desk.change(replace(self._desk.state, turn=Turn()))
        self._take_turn(text, model)
        return True

    @work(group="turn")
    async def _take_turn(self, text: str, model: wire.ModelInfo) -> None:
        heard = Heard()
        try:
            if text != self._desk.state.unanswered and not await self._say(text):
                return
            answer = Answer(model.name)
            await self.transcript.append(answer)
            await self._hear(model, answer, heard)
            await self._keep(heard, model.name, answer)
        finally:
            self._is_idle.set()
            self._desk.change(replace(self._desk.state, turn=None))
            is_answered = heard.done is not None or (heard.error is None and heard.text)
            if not is_answered and not self.prompt.text:
                self.prompt.give_back(text)

    async def _say(self, text: str) -> bool:
        if not await self._desk.keep(wire.SessionMessage(role="user", content=text)):
            return False
        await self.transcript.append(UserMessage(text, self._desk.clock.now()))
        return True

    async def _hear(self, model: wire.ModelInfo, answer: Answer, heard: Heard) -> None:
        def note(event: wire.Progressing) -> None:
            self._desk.note(event)
            if (turn := self._desk.state.turn) is not None:
                answer.show_footer(progress(turn))

        def note_text() -> None:
            if heard.delta is not None:
                note(heard.delta)

        async with answer.markdown.streaming(note_text) as writer:
            # Tasks of their own: stopping what is heard does not stop the saving of it.
            hearing = asyncio.create_task(hear(self._desk.answer(model), writer, heard, note))
            stopping = asyncio.create_task(self._stopped.wait())
            try:
                await asyncio.wait({hearing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hearing.cancel()
                stopping.cancel()
                await asyncio.wait({hearing, stopping})

    async def _keep(self, heard: Heard, model: str, answer: Answer) -> None:
        is_kept = False
        if heard.text:
            is_partial = heard.done is None
            message = wire.SessionMessage(
                role="assistant", content=heard.text, model=model, is_partial=is_partial
            )
            is_kept = await self._desk.keep(message)
        if heard.error is not None:
            await self.transcript.append(Failure(heard.error))
        await self._desk.refresh_loaded()
        if heard.done is None:
            ended = STOPPED if is_kept else NOT_KEPT
            answer.end(heard.text, ended if heard.text else "stopped before the first word")
            return
        self._desk.change(replace(self._desk.state, decode_tps=decode_tps(heard.done)))
        loaded = self._desk.state.current_loaded
        answer.end(heard.text, usage(heard.done, None if loaded is None else loaded.context_length))

    def _show_notice(self, state: State) -> None:
        said = notice(state)
        self._notice.display = said is not None
        if said is not None:
            self._notice.update(Content(said.text))
            self._notice.set_class(said.is_error, "-error")
