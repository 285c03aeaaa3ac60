"""Chat sessions in one SQLite file, kept by the daemon."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from runner.database import Database, Schema
from runner.errors import SessionNotFound
from runner.text import clean_name
from runner.wire import Session, SessionCreate, SessionInfo, SessionMessage, SessionUpdate

DEFAULT_TITLE = SessionCreate().title
_TITLE_CHARACTERS = 60

_SCHEMA = Schema(
    "the chat history",
    (
        """
        CREATE TABLE session (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL,
            model TEXT,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL
        );
        CREATE TABLE message (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session_id INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            model TEXT,
            is_partial INTEGER NOT NULL,
            created_at TEXT NOT NULL
        );
        CREATE INDEX message_of_session ON message (session_id, id)
        """,
    ),
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class History:
    """The sessions in one file. Methods may be called from any thread. They raise what `Database` raises, and
    SessionNotFound for an unknown id."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = _utc_now) -> None:
        self._database = Database(path, _SCHEMA)
        self._clock = clock

    def close(self) -> None:
        self._database.close()

    def list(self) -> Sequence[SessionInfo]:
        """Most recently used first."""
        with self._database.reading() as db:
            rows = db.execute("SELECT * FROM session ORDER BY updated_at DESC, id DESC").fetchall()
        return [SessionInfo.model_validate(dict(row)) for row in rows]

    def get(self, session_id: int) -> Session:
        with self._database.reading() as db:
            row = _session_row(db, session_id)
            query = "SELECT * FROM message WHERE session_id = ? ORDER BY id"
            messages = [dict(message) for message in db.execute(query, (session_id,))]
        return Session.model_validate({**dict(row), "messages": messages})

    def create(self, body: SessionCreate) -> SessionInfo:
        now = self._now()
        query = "INSERT INTO session (title, model, created_at, updated_at) VALUES (?, ?, ?, ?)"
        with self._database.transaction() as db:
            added = db.execute(query, (body.title, body.model, now, now))
            row = _session_row(db, added.lastrowid)
        return SessionInfo.model_validate(dict(row))

    def update(self, session_id: int, body: SessionUpdate) -> SessionInfo:
        """Changes what `body` names; what is None there stays."""
        query = "UPDATE session SET title = coalesce(?, title), model = coalesce(?, model) WHERE id = ?"
        with self._database.transaction() as db:
            db.execute(query, (body.title, body.model, session_id))
            row = _session_row(db, session_id)
        return SessionInfo.model_validate(dict(row))

    def delete(self, session_id: int) -> None:
        with self._database.transaction() as db:
            _session_row(db, session_id)
            db.execute("DELETE FROM session WHERE id = ?", (session_id,))

    def add_message(self, session_id: int, message: SessionMessage) -> SessionMessage:
        """Appends; `id` and `created_at` of `message` are replaced. The first user message names the session
        unless the user did."""
        now = self._now()
        values = (session_id, message.role, message.content, message.model, message.is_partial, now)
        query = (
            "INSERT INTO message (session_id, role, content, model, is_partial, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)"
        )
        with self._database.transaction() as db:
            title = _session_row(db, session_id)["title"]
            if message.role == "user" and title == DEFAULT_TITLE:
                title = title_from(message.content)
            added = db.execute(query, values)
            row = db.execute("SELECT * FROM message WHERE id = ?", (added.lastrowid,)).fetchone()
            db.execute("UPDATE session SET title = ?, updated_at = ? WHERE id = ?", (title, now, session_id))
        return SessionMessage.model_validate(dict(row))

    def _now(self) -> str:
        # A fixed width lets text sort by time.
        return self._clock().isoformat(timespec="microseconds")


def title_from(content: str) -> str:
    """The first line of `content` that says anything, shortened to a title."""
    lines = (clean_name(line).strip() for line in content.splitlines())
    line = next((line for line in lines if line), DEFAULT_TITLE)
    return line if len(line) <= _TITLE_CHARACTERS else line[: _TITLE_CHARACTERS - 1].rstrip() + "…"


def _session_row(db: sqlite3.Connection, session_id: int | None) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM session WHERE id = ?", (session_id,)).fetchone()
    if row is None:
        raise SessionNotFound(f"there is no chat session {session_id}", hint="it may have been deleted")
    return row
