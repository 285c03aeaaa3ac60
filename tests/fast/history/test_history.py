"""Chat sessions in SQLite: what is kept, in which order, and what happens to a bad file."""

from __future__ import annotations

import logging
import sqlite3
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from modelstore.errors import Conflict, NybbleError
from runner.errors import SessionNotFound
from runner.history import History, title_from
from runner.wire import SessionCreate, SessionMessage, SessionUpdate

_MINUTES = count()


def _clock() -> datetime:
    """Every call is a minute later."""
    return datetime(2026, 5, 1, tzinfo=UTC) + timedelta(minutes=next(_MINUTES))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    history = History(path, clock=_clock)
    yield history
    history.close()


def _user(content: str) -> SessionMessage:
    return SessionMessage(role="user", content=content)


def test_what_was_said_is_there_after_a_restart(history: History, path: Path) -> None:
    session = history.create(SessionCreate(model="smollm2:135m"))
    asked = history.add_message(session.id, _user("Why is the sky blue?\nIn one line."))
    answer = SessionMessage(role="assistant", content="Rayleigh sc", model="smollm2:135m", is_partial=True)
    history.add_message(session.id, answer)
    history.close()

    reopened = History(path)
    kept = reopened.get(session.id)
    reopened.close()
    assert kept.title == "Why is the sky blue?"
    assert kept.model == "smollm2:135m"
    assert kept.messages[0] == asked
    last = kept.messages[1]
    assert (last.role, last.content, last.model, last.is_partial) == (
        "assistant", "Rayleigh sc", "smollm2:135m", True,
    )  # fmt: skip
    assert last.created_at is not None and last.created_at.tzinfo is not None


def test_the_most_recently_used_session_is_first(history: History) -> None:
    older = history.create(SessionCreate())
    newer = history.create(SessionCreate())
    assert [info.id for info in history.list()] == [newer.id, older.id]
    history.add_message(older.id, _user("again"))
    assert [info.id for info in history.list()] == [older.id, newer.id]


def test_a_name_given_by_the_user_stays(history: History) -> None:
    session = history.create(SessionCreate())
    renamed = history.update(session.id, SessionUpdate(title="Physics"))
    assert (renamed.title, renamed.model) == ("Physics", None)
    history.add_message(session.id, _user("Why is the sky blue?"))
    remodelled = history.update(session.id, SessionUpdate(model="gemma3:270m"))
    assert (remodelled.title, remodelled.model) == ("Physics", "gemma3:270m")


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("  \n\n hello \nworld", "hello"),
        ("\x1b[31mred\x1b[0m [b]x[/b]", "red [b]x[/b]"),
        ("\n \n", "New chat"),
        ("word " * 40, "word " * 11 + "word…"),
    ],
)
def test_the_title_is_the_first_line_that_says_something(content: str, title: str) -> None:
    assert title_from(content) == title


def test_a_deleted_session_takes_its_messages_along(history: History, path: Path) -> None:
    session = history.create(SessionCreate())
    history.add_message(session.id, _user("secret"))
    history.delete(session.id)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT count(*) FROM message").fetchone() == (0,)
    raw.close()
    for call in (
        lambda: history.get(session.id),
        lambda: history.delete(session.id),
        lambda: history.update(session.id, SessionUpdate(title="x")),
        lambda: history.add_message(session.id, _user("x")),
    ):
        with pytest.raises(SessionNotFound, match=str(session.id)):
            call()
    assert history.create(SessionCreate()).id != session.id, "an id is never given twice"


def test_many_threads_at_once(history: History) -> None:
    session = history.create(SessionCreate())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: history.add_message(session.id, _user(str(number))), range(64)))
    assert {message.content for message in history.get(session.id).messages} == {str(n) for n in range(64)}


def test_a_damaged_file_is_kept_aside(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    (path.parent / "history.sqlite3.damaged-1").write_text("of an earlier time")
    history = History(path)
    with caplog.at_level(logging.ERROR):
        assert list(history.list()) == []
    history.create(SessionCreate())
    history.close()
    assert path.with_name("history.sqlite3.damaged-1").read_text() == "of an earlier time"
    assert path.with_name("history.sqlite3.damaged-2").read_bytes().startswith(b"this is not a database")
    assert "history.sqlite3.damaged-2" in caplog.text


def test_a_damaged_page_is_found_when_the_file_is_opened(path: Path) -> None:
    history = History(path)
    session = history.create(SessionCreate())
    for _ in range(200):
        history.add_message(session.id, _user("some words " * 40))
    history.close()
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)

    reopened = History(path)
    assert list(reopened.list()) == []
    reopened.close()
    assert path.with_name("history.sqlite3.damaged-1").read_bytes() == bytes(content)


def test_a_file_of_a_newer_nybble_is_left_alone(history: History, path: Path) -> None:
    history.create(SessionCreate(title="from the future"))
    history.close()
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(Conflict, match="newer nybble"):
        history.list()
    assert [file.name for file in path.parent.iterdir() if "damaged" in file.name] == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither mode bits nor O_NOFOLLOW")
def test_only_the_owner_can_read_it(history: History, path: Path) -> None:
    history.create(SessionCreate())
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    history.close()
    path.chmod(0o644)
    history.list()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither mode bits nor O_NOFOLLOW")
def test_a_link_is_not_followed(history: History, path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    target = tmp_path / "elsewhere"
    target.write_text("mine")
    path.symlink_to(target)
    with pytest.raises(NybbleError, match="cannot be used"):
        history.list()
    assert target.read_text() == "mine"
