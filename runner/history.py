"""Chat sessions in one SQLite file, kept by the daemon."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from modelstore.errors import Conflict, NybbleError, StorageFull
from runner.errors import SessionNotFound
from runner.text import clean_name
from runner.wire import Session, SessionCreate, SessionInfo, SessionMessage, SessionUpdate

_log = logging.getLogger(__name__)

DEFAULT_TITLE = SessionCreate().title
_TITLE_CHARACTERS = 60

# Entry n brings a file from `user_version` n to n + 1.
_MIGRATIONS = (
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
    CREATE INDEX message_of_session ON message (session_id, id);
    """,
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class History:
    """The sessions in one file. Calls are synchronous and may come from any thread.

    The file is opened at the first call, so that a broken one cannot keep the daemon from starting. A damaged
    file is moved aside, never deleted, and a new one is begun. Methods raise SessionNotFound for an unknown
    id, StorageFull if the disk is full, and NybbleError if the file cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = _utc_now) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def list(self) -> Sequence[SessionInfo]:
        """Most recently used first."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM session ORDER BY updated_at DESC, id DESC").fetchall()
        return [SessionInfo.model_validate(dict(row)) for row in rows]

    def get(self, session_id: int) -> Session:
        with self._transaction() as db:
            row = _session_row(db, session_id)
            query = "SELECT * FROM message WHERE session_id = ? ORDER BY id"
            messages = [dict(message) for message in db.execute(query, (session_id,))]
        return Session.model_validate({**dict(row), "messages": messages})

    def create(self, body: SessionCreate) -> SessionInfo:
        now = self._now()
        query = "INSERT INTO session (title, model, created_at, updated_at) VALUES (?, ?, ?, ?)"
        with self._transaction() as db:
            added = db.execute(query, (body.title, body.model, now, now))
            row = _session_row(db, added.lastrowid)
        return SessionInfo.model_validate(dict(row))

    def update(self, session_id: int, body: SessionUpdate) -> SessionInfo:
        """Changes what `body` names; what is None there stays."""
        query = "UPDATE session SET title = coalesce(?, title), model = coalesce(?, model) WHERE id = ?"
        with self._transaction() as db:
            db.execute(query, (body.title, body.model, session_id))
            row = _session_row(db, session_id)
        return SessionInfo.model_validate(dict(row))

    def delete(self, session_id: int) -> None:
        with self._transaction() as db:
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
        with self._transaction() as db:
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

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _reporting(self._path):
            if self._connection is None:
                self._connection = _open(self._path)
            db = self._connection
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")


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


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Turns what SQLite and the file system say into errors for the user."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageFull(
                "the disk is full: the chat was not saved", hint=f"free space for {path}"
            ) from error
        raise NybbleError(f"the chat history in {path} cannot be used: {error}") from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private(path)
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        aside = _move_aside(path)
        _log.error("the chat history %s is damaged (%s): kept as %s, a new one is begun", path, error, aside)
    _make_private(path)
    return _connect(path)


def _make_private(path: Path) -> None:
    """Creates the file for its owner only, before SQLite would create it for everyone."""
    no_follow: int = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | no_follow, 0o600)
    os.close(descriptor)
    path.chmod(0o600)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA foreign_keys = ON")
        if (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            damage = sqlite3.DatabaseError(verdict)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _migrate(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(_MIGRATIONS):
        raise Conflict("the chat history was written by a newer nybble", hint="update nybble to see it")
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def _move_aside(path: Path) -> Path:
    """Renames the file and its write-ahead log to a name that is free; returns it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
