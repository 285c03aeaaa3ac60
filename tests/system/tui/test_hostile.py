"""Text from models, hubs and users is data: shown as it is, acting on nothing, ending nothing."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner import wire
from runner.text import StreamCleaner, clean
from tests.fakes.daemon import FakeDaemon, answer, error, model
from tests.system.tui.screen import desk_of, say, shows, started, text, type_in, until
from tui.widgets.markdown import Page
from tui.widgets.messages import Answer
from tui.widgets.transcript import Transcript

MARKUP = "[@click=app.quit]x[/] [/b] [0] [TODO] [/"
ESCAPES = "a\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x1b]8;;http://evil\x1b\\ \x9b2J \x1b[?1049l \x00\x08b"
NAME = "evil\u202e[0]\x1b[2Jname:1b"


_SPLIT = "\x1b[]P;0m\x07\x9b\x9c\x9d\\\r\n aé"


@given(text=st.text(alphabet=_SPLIT), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_text_in_pieces_is_cleaned_like_the_whole(text: str, cuts: list[int]) -> None:
    borders = sorted({0, *(cut for cut in cuts if cut < len(text)), len(text)})
    cleaner = StreamCleaner()
    pieces = [cleaner.feed(text[start:end]) for start, end in pairwise(borders)]
    assert "".join(pieces) + cleaner.flush() == clean(text)


async def test_what_a_model_writes_stays_text(fake_daemon: FakeDaemon) -> None:
    table = "\n\n| [/b] | [0] |\n|-|-|\n| [/ | x |\n"
    pieces = [*MARKUP, "\n\n", *ESCAPES, "\n\n<div>html</div> &amp; `code [/b]`", table]
    fake_daemon.replies.append(answer(*pieces))
    async with started(fake_daemon) as pilot:
        await say(pilot, f"{MARKUP}\n{ESCAPES}")
        await shows(pilot, "128 tokens")
        screen = text(pilot)
        assert screen.count(MARKUP) == 3, "in the title, the question and the answer"
        assert "ared" in screen and "<div>html</div> & code [/b]" in screen
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", screen)
        assert "evil" not in screen and "[31m" not in screen and "aGk=" not in screen


async def test_names_and_errors_stay_text_everywhere_they_are_shown(fake_daemon: FakeDaemon) -> None:
    fake_daemon.models = [model(NAME)]
    fake_daemon.history.create(wire.SessionCreate(title=f"chat {MARKUP}"))
    fake_daemon.replies.append([error(f"failed {MARKUP}{ESCAPES}", f"hint {MARKUP}")])
    fake_daemon.pulls.append([error(f"failed {MARKUP}{ESCAPES}")])
    async with started(fake_daemon, size=(140, 40)) as pilot:
        await shows(pilot, "Ask evil[0]name:1b anything")
        await pilot.press("ctrl+t")
        await shows(pilot, "○ evil[0]name:1b")
        await type_in(pilot, "[/b]")
        await shows(pilot, "↓ pull [/b]")
        await pilot.press("down", "enter")
        await shows(pilot, f"failed {MARKUP}")
        await pilot.press("ctrl+p")
        await type_in(pilot, "evil")
        await shows(pilot, "Use evil[0]name:1b")
        await pilot.press("escape")
        await say(pilot, "hello")
        await shows(pilot, f"hint {MARKUP}")
        await pilot.press("escape", "ctrl+l", "slash")
        await type_in(pilot, "[/b]")
        await pilot.press("enter", "d")
        await shows(pilot, "Delete “chat [@click")
        assert len(fake_daemon.history.list()) == 2 and pilot.app.is_running, "no name was obeyed"


async def test_markdown_of_any_shape_ends_nothing(fake_daemon: FakeDaemon) -> None:
    """Every fragment of Markdown in every order, streamed in pieces that cut anywhere."""
    dice = random.Random(11)
    signs = "# |-| | ``` ~~~ > - 1. * ** _ ` [x](y) ![i](j) <b> --- : [/b] [^1] \\ word"
    fragments = [*signs.split(" "), "\n", "\n\n", "\t"]
    async with started(fake_daemon) as pilot:
        transcript = pilot.app.screen.query_one(Transcript)
        said = (wire.SessionMessage(role="user", content="x"),)
        transcript.show(replace(desk_of(pilot).state, messages=said))
        for _ in range(10):
            source = "".join(dice.choice(fragments) + dice.choice(["", " ", "\n"]) for _ in range(40))
            shown = Answer(None)
            await transcript.replace([])
            await transcript.append(shown)
            markdown = shown.markdown
            async with markdown.streaming(lambda: None) as writer:
                for start in range(0, len(source), 7):
                    writer.write(source[start : start + 7])
            assert "".join(page.source for page in markdown.query(Page)) == source
            await pilot.pause()
        assert pilot.app.is_running


async def test_a_long_line_does_not_hold_up_the_keys(fake_daemon: FakeDaemon) -> None:
    fake_daemon.replies.append(answer("x" * 200_000))
    async with started(fake_daemon) as pilot:
        await say(pilot, "go")
        await until(pilot, lambda: desk_of(pilot).state.turn is None and desk_of(pilot).state.messages)
        await type_in(pilot, "still here")
        await shows(pilot, "still here")
        assert desk_of(pilot).state.messages[-1].content == "x" * 200_000
