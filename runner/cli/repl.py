"""The conversation of `nybble run` in a terminal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from modelstore.errors import NybbleError
from runner.cli import output
from runner.cli.answer import answer
from runner.cli.conversation import Conversation
from runner.cli.slash import Leave, obey
from runner.paths import make_private_file

_PROMPT = ">>> "
_MORE = "... "
_FENCE = '"""'


async def converse(conversation: Conversation, history_file: Path) -> None:
    """Ask and answer until the user leaves."""
    model = conversation.model
    if not model.has_chat_template:
        output.say(f"{model.name} has no chat template: it continues each text, and does not chat")
    output.say('/? for help, """ for several lines, Ctrl-C stops an answer, Ctrl-D leaves')
    lines: PromptSession[str] = PromptSession(history=_history(history_file))
    while True:
        try:
            text = await _read(lines)
        except KeyboardInterrupt:
            output.say("Ctrl-D or /bye leaves")
            continue
        except EOFError:
            return
        try:
            await _respond(conversation, text)
        except Leave:
            return
        except NybbleError as error:
            output.report(error)


async def _read(lines: PromptSession[str]) -> str:
    """One line, or several between triple quotes."""
    text = await lines.prompt_async(_PROMPT)
    if not text.lstrip().startswith(_FENCE):
        return text.strip()
    text = text.lstrip().removeprefix(_FENCE)
    while not text.rstrip().endswith(_FENCE):
        text += "\n" + await lines.prompt_async(_MORE)
    return text.rstrip().removesuffix(_FENCE).strip("\n")


async def _respond(conversation: Conversation, text: str) -> None:
    if text.startswith("/"):
        await obey(conversation, text)
    elif text:
        await _stoppable(_turn(conversation, text))


async def _turn(conversation: Conversation, text: str) -> None:
    pieces: list[str] = []
    request = conversation.request(text)
    try:
        await answer(conversation.client, request, verbose=conversation.verbose, keep=pieces.append)
    finally:
        # Also of an answer that was stopped: the model should know what it said.
        conversation.remember(text, "".join(pieces))


async def _stoppable(turn: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C ends the turn, and nothing else."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(turn)
    before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(task.cancel))
    try:
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
    finally:
        signal.signal(signal.SIGINT, before)


def _history(file: Path) -> History:
    try:
        make_private_file(file)
    except OSError as error:
        output.say(f"typed lines are not kept: {error}")
        return InMemoryHistory()
    return FileHistory(file)
