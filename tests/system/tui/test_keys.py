"""One table behind bindings, help and documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App
from textual.dom import DOMNode

from tests.fakes.daemon import FakeDaemon
from tests.system.tui.screen import shows, started, text
from tui.app import NybbleApp
from tui.keys import GROUPS, spelled
from tui.screens.chat import ChatScreen
from tui.screens.compare import CompareScreen
from tui.screens.help import HelpScreen
from tui.screens.picker import ModelPicker
from tui.screens.question import Ask, Confirm
from tui.theme import THEME
from tui.widgets.compare_setup import CompareSetup
from tui.widgets.comparison import ComparisonView
from tui.widgets.empty import EmptyState
from tui.widgets.lists import KeyList, SideList
from tui.widgets.prompt import Prompt
from tui.widgets.sessions import SessionList
from tui.widgets.transcript import Transcript

_OWNERS: dict[str, type[DOMNode]] = {
    "Everywhere": NybbleApp,
    "Chat": ChatScreen,
    "Prompt": Prompt,
    "Transcript": Transcript,
    "Chats": SessionList,
    "List at the side": SideList,
    "Lists": KeyList,
    "Compare": CompareScreen,
    "Setup": CompareSetup,
    "Comparison": ComparisonView,
    "First start": EmptyState,
    "Model picker": ModelPicker,
    "Questions": Confirm,
    "Words": Ask,
    "Help": HelpScreen,
}
_SCREENS: dict[str, type[DOMNode]] = {"Comparison": CompareScreen}


@pytest.mark.parametrize("group", GROUPS)
def test_every_key_does_something(group: str) -> None:
    for key in GROUPS[group]:
        *namespace, action = key.action.partition("(")[0].split(".")
        owner = _OWNERS[group]
        if namespace:
            owner = App if namespace == ["app"] else _SCREENS.get(group, ChatScreen)
        assert hasattr(owner, f"action_{action}"), key.id


def test_ids_are_unique_and_a_key_means_one_thing_at_a_time() -> None:
    ids = [key.id for keys in GROUPS.values() for key in keys]
    assert len(ids) == len(set(ids))
    for group, keys in GROUPS.items():
        names = [name for key in keys for name in key.key.split(",")]
        assert len(names) == len(set(names)), group


def test_single_letters_stay_with_the_text_field() -> None:
    letters = [
        key.id
        for keys in GROUPS.values()
        for key in keys
        for name in key.key.split(",")
        if len(name) == 1 and key.priority
    ]
    assert letters == []


@pytest.mark.parametrize(
    ("keys", "people_read"),
    [("ctrl+j,shift+enter", "Ctrl+J, Shift+Enter"), ("f1,question_mark", "F1, ?"), ("G,j", "G, j")],
)
def test_keys_as_people_read_them(keys: str, people_read: str) -> None:
    assert spelled(keys) == people_read


async def test_the_bottom_line_shows_the_keys_that_work_now_and_takes_clicks(
    fake_daemon: FakeDaemon,
) -> None:
    async with started(fake_daemon) as pilot:
        line = text(pilot).splitlines()[-1]
        assert (
            " ".join(line.split()) == "esc Read ^n New ^t Model ^l Chats ^q Quit f4 Compare f1 Help ^p Find"
        )
        await pilot.click(offset=(line.index("Chats"), 29))
        await shows(pilot, "/ Search  esc Back  r Rename  d Delete")
        await pilot.click(offset=(text(pilot).splitlines()[-1].index("Help"), 29))
        await shows(pilot, "Everywhere")
        await pilot.press("escape", "escape")
        await pilot.resize_terminal(60, 30)
        await shows(pilot, "^l Chats      f1 Help  ^p Find")


async def test_help_shows_every_key(fake_daemon: FakeDaemon) -> None:
    async with started(fake_daemon, size=(100, 140)) as pilot:
        await pilot.press("f1")
        await shows(pilot, "Everywhere")
        for keys in GROUPS.values():
            for key in keys:
                assert key.tooltip in text(pilot), key.id
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, HelpScreen)


def _markdown() -> str:
    """The whole table for the documentation."""
    parts = []
    for group, keys in GROUPS.items():
        rows = [f"| {spelled(key.key)} | {key.tooltip} |" for key in keys]
        parts.append("\n".join([f"### {group}", "", "| Key | What it does |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"


def test_the_documentation_lists_every_key(request: pytest.FixtureRequest) -> None:
    page = Path(__file__).parents[3] / "docs" / "tui.md"
    before, _, rest = page.read_text("utf-8").partition("<!-- keys -->\n")
    _, end, after = rest.partition("<!-- end of keys -->")
    expected = f"{before}<!-- keys -->\n{_markdown()}{end}{after}"
    if request.config.getoption("update_snapshots"):
        page.write_text(expected, "utf-8")
    assert page.read_text("utf-8") == expected, "stale: run pytest with --snapshot-update"


async def test_the_chosen_theme_is_there_at_the_next_start(fake_daemon: FakeDaemon) -> None:
    async with started(fake_daemon) as pilot:
        assert pilot.app.theme == THEME.name
        pilot.app.theme = "textual-light"
        await pilot.pause()
    async with started(fake_daemon) as pilot:
        assert pilot.app.theme == "textual-light"
    (fake_daemon.folder / "state" / "theme").write_text("gone-in-a-later-version", "utf-8")
    async with started(fake_daemon) as pilot:
        assert pilot.app.theme == THEME.name
