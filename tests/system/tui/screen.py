"""Running the app against a fake daemon, with the time standing still, and reading what is on the screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from runner.client import Client
from tests.fakes.daemon import START, FakeDaemon
from tui.app import NybbleApp
from tui.clock import Clock
from tui.desk import Desk

_DEADLINE_S = 60.0


def application(daemon: FakeDaemon) -> NybbleApp:
    clock = Clock(now=lambda: START, elapsed_s=lambda: 0.0)
    return NybbleApp(Client(daemon.address), clock, daemon.folder / "state" / "theme")


@asynccontextmanager
async def started(daemon: FakeDaemon, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Pilot[None]]:
    """The app after its first questions to the daemon were answered."""
    app = application(daemon)
    async with app.run_test(size=size, notifications=True) as pilot:
        await ready(pilot)
        yield pilot


async def ready(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: not any(worker.group == "refresh" for worker in pilot.app.workers))


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Lets the app work until `condition` holds; fails with the screen after a minute."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DEADLINE_S
    while not condition():
        assert loop.time() < deadline, "\n" + text(pilot)
        await pilot.pause()
    await pilot.pause()


async def shows(pilot: Pilot[None], words: str) -> None:
    """Waits until `words` are on the screen, in one line."""
    await until(pilot, lambda: words in text(pilot))


async def type_in(pilot: Pilot[None], words: str) -> None:
    """Puts `words` where the focus is, at once."""
    pilot.app.post_message(events.Paste(words))
    await pilot.pause()


async def say(pilot: Pilot[None], words: str) -> None:
    """Types into the prompt and sends."""
    pilot.app.screen.query_one("#prompt", TextArea).insert(words)
    await pilot.press("enter")


def desk_of(pilot: Pilot[None]) -> Desk:
    assert isinstance(pilot.app, NybbleApp)
    return pilot.app.desk


def text(pilot: Pilot[None]) -> str:
    """What is on the screen, line by line."""
    # The public way is an SVG, which takes a hundred times as long.
    return "\n".join(strip.text.rstrip() for strip in pilot.app.screen._compositor.render_strips())


def hold_still(pilot: Pilot[None]) -> None:
    """No blinking cursor in a picture."""
    for prompt in pilot.app.screen.query(TextArea):
        prompt.cursor_blink = False
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
