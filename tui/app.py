"""The terminal app."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import App

from runner import wire
from runner.client import Client
from tui.clock import Clock
from tui.commands import NybbleCommands
from tui.desk import Desk
from tui.keys import bindings
from tui.screens.chat import ChatScreen
from tui.screens.compare import CompareScreen
from tui.screens.help import HelpScreen
from tui.terminal import survived
from tui.theme import THEME, chosen, keep
from tui.wording import problem

_HEARTBEAT_S = 2.0
_LAST_WORDS_S = 2.0
"""How long leaving waits for a daemon to save an unfinished answer."""


class NybbleApp(App[None]):
    TITLE = "nybble"
    CSS_PATH = "app.tcss"
    BINDINGS = bindings("Everywhere")
    COMMANDS: ClassVar = {NybbleCommands}

    def __init__(self, client: Client, clock: Clock | None = None, theme_file: Path | None = None) -> None:
        """The chosen theme is kept in `theme_file`, if there is one."""
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
        self.desk = Desk(client, clock or Clock())
        self.desk.on_problem = self._tell
        self._chat = ChatScreen(self.desk)
        self.add_mode("chat", lambda: self._chat)
        self.add_mode("compare", partial(CompareScreen, self.desk))
        self.register_theme(THEME)
        self.theme = chosen(theme_file, self.available_themes)
        self._theme_file = theme_file

    async def on_mount(self) -> None:
        await self.switch_mode("chat")
        self._beat()
        self.set_interval(_HEARTBEAT_S, self._beat)
        self._leave_on_signals()
        if self._theme_file is not None:
            self.theme_changed_signal.subscribe(self, partial(keep, self._theme_file))
        # Textual itself repaints only what changes after it was suspended.
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh(layout=True))

    async def on_unmount(self) -> None:
        await self.desk.close()

    def _leave_on_signals(self) -> None:
        """A shutdown, or a closed terminal, ends the app as the key does: the terminal is restored."""
        if sys.platform != "win32":
            for number in (signal.SIGTERM, signal.SIGHUP):
                leave = partial(self.call_later, self.action_quit)
                asyncio.get_running_loop().add_signal_handler(number, leave)

    def _beat(self) -> None:
        self.run_worker(self.desk.refresh(), group="refresh", exclusive=True)

    def action_help(self) -> None:
        self.push_screen(HelpScreen())

    def action_help_quit(self) -> None:
        """Ctrl+C with nothing selected."""
        if self.screen is self._chat and self.desk.state.is_busy:
            self._chat.action_stop()
        else:
            super().action_help_quit()

    async def action_quit(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._chat.conversation.finish()
        self.exit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A screen is not offered where it is."""
        return action != "switch_mode" or parameters != (self.current_mode,)

    def _tell(self, error: wire.ErrorBody) -> None:
        self.notify("\n".join(problem(error)), severity="error", markup=False)


def run(
    address: str, theme_file: Path | None = None, find_daemon: Callable[[], Awaitable[str]] | None = None
) -> None:
    """Opens the app on the daemon at `address` (`http://host:port`) and returns when the user leaves it.
    `find_daemon` starts one again if it has ended, and says where."""
    with survived():
        app = NybbleApp(Client(address), theme_file=theme_file)
        app.desk.find_daemon = find_daemon
        app.run()
