"""What the command palette offers: actions, models and chats. Names in it are data, never markup."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from runner.text import clean_name
from tui.fuzzy import match
from tui.keys import GROUPS, spelled
from tui.screens.chat import ChatScreen
from tui.screens.compare import CompareScreen


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    detail: str
    run: Callable[[], object]


class NybbleCommands(Provider):
    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(Content(command.name), command.run, command.name, command.detail)

    async def search(self, query: str) -> Hits:
        for command in self._commands():
            score, shown = match(query, command.name)
            if score > 0:
                yield Hit(score, shown, command.run, command.name, command.detail)

    def _commands(self) -> Iterator[Command]:
        screen = self.screen
        for key in GROUPS["Compare" if isinstance(screen, CompareScreen) else "Chat"]:
            if isinstance(screen, ChatScreen | CompareScreen) and screen.check_action(key.action, ()):
                yield Command(key.tooltip, spelled(key.key), partial(screen.run_action, key.action))
        for key in GROUPS["Everywhere"]:
            if key.action not in ("command_palette", f"switch_mode('{self.app.current_mode}')"):
                yield Command(key.tooltip, spelled(key.key), partial(self.app.run_action, key.action))
        yield Command("Choose other colours", "theme", self.app.search_themes)
        if isinstance(screen, ChatScreen):
            yield from _models_and_chats(screen)


def _models_and_chats(screen: ChatScreen) -> Iterator[Command]:
    for model in screen.desk.state.models or ():
        yield Command(f"Use {clean_name(model.name)}", "model", partial(screen.use_model, model.name))
    for session in screen.desk.state.sessions:
        open_it = partial(screen.open_session, session.id)
        yield Command(f"Open {clean_name(session.title)}", "chat", open_it)
