"""Long Markdown: cut into pages that show what the whole would, and tables in one widget."""

from __future__ import annotations

import random

import pytest
from textual.content import Content

from tests.fakes.daemon import FakeDaemon, answer
from tests.system.tui.screen import desk_of, say, shows, started, text, until
from tui.pages import PAGE_LINES, Pages
from tui.widgets.markdown import Page
from tui.widgets.messages import Answer
from tui.widgets.table import Table, drawn, fitted
from tui.widgets.transcript import Transcript

CODE = "```python\n" + "".join(f"line {number}\n" for number in range(3 * PAGE_LINES)) + "```\n"
TABLE = "| n | square |\n|--:|:--|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(3 * PAGE_LINES))
LIST = "".join(f"{n}. item\n" for n in range(3 * PAGE_LINES))
PROSE = "".join(f"Paragraph {n}.\n\n" for n in range(2 * PAGE_LINES))


def pages(source: str, step: int) -> list[str]:
    """The pages of a text that arrives `step` characters at a time."""
    cutter, found = Pages(), [""]
    for start in range(0, len(source), step):
        (_, piece), *others = cutter.feed(source[start : start + step])
        found[-1] += piece
        found += [head + rest for head, rest in others]
    return found


@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_a_page_goes_on_with_the_code_or_table_it_was_cut_from(step: int) -> None:
    source = f"{PROSE}{CODE}\n{TABLE}\n{LIST}"
    found = pages(source, step)
    assert all(page.count("\n") <= PAGE_LINES + 2 for page in found)
    code = [page for page in found if "line " in page]
    assert len(code) > 2 and all(page.startswith("```python\nline ") for page in code[1:])
    tables = [page for page in found if page.startswith("| n |")]
    assert tables and all(page.split("\n", 2)[1] == "|--:|:--|" for page in tables)
    assert [line for page in found for line in page.splitlines() if "item" in line] == LIST.splitlines()


def test_a_page_is_not_cut_where_that_would_change_its_meaning() -> None:
    nested = "".join(f"{n}. item\n   - below\n" for n in range(2 * PAGE_LINES))
    paragraph = "word\n" * 2 * PAGE_LINES
    assert pages(nested, 5) == [nested] and pages(paragraph, 5) == [paragraph]
    closed = CODE + "```` not a fence inside\n"
    assert pages(closed, 3) == pages(closed, len(closed))


def test_the_widest_columns_of_a_table_give_way() -> None:
    assert fitted([3, 50, 9], 32) == [3, 14, 9]
    assert fitted([3, 5], 40) == [3, 5]
    assert fitted([9, 9, 9], 2) == [1, 1, 1], "cut off, but no error"
    rows = [[Content("名"), Content("long")], [Content("👍🏽 ok"), Content("words that wrap")]]
    lines = drawn(rows, 19)
    assert {line.cell_length for line in lines} == {max(line.cell_length for line in lines)}
    assert "words that" in lines[2].plain and "wrap" in lines[3].plain


async def test_long_code_and_tables_are_whole_and_quick(fake_daemon: FakeDaemon) -> None:
    pieces = [f"{CODE}\n{TABLE}"[start : start + 50] for start in range(0, len(f"{CODE}\n{TABLE}"), 50)]
    fake_daemon.replies.append(answer(*pieces))
    async with started(fake_daemon) as pilot:
        await say(pilot, "go")
        await until(pilot, lambda: desk_of(pilot).state.turn is None and desk_of(pilot).state.messages)
        await shows(pilot, f"{3 * PAGE_LINES - 1} │ {(3 * PAGE_LINES - 1) ** 2}")
        assert len(pilot.app.screen.query(Page)) > 5 and len(pilot.app.screen.query(Table)) > 2
        assert len(pilot.app.screen.query("*")) < 100, "no widget for each cell"


async def test_separators_of_lines_lose_and_double_nothing(fake_daemon: FakeDaemon) -> None:
    dice = random.Random(5)
    words = [f"w{number}" for number in range(60)]
    source = "".join(word + dice.choice([" ", "\u2028", "\u2029", "\n", "\n\n"]) for word in words)
    fake_daemon.replies.append(answer(source))
    async with started(fake_daemon, size=(100, 120)) as pilot:
        await say(pilot, "go")
        await shows(pilot, "128 tokens")
        assert [word for word in text(pilot).split() if word in words] == words
        shown, transcript = Answer(None), pilot.app.screen.query_one(Transcript)
        await transcript.replace([])
        await transcript.append(shown)
        markdown = shown.markdown
        for start in range(0, len(source), 3):
            await markdown.add(source[start : start + 3])
        await pilot.pause()
        assert [word for word in text(pilot).split() if word in words] == words
