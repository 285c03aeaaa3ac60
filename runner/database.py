"""A SQLite file of our own: private, in write-ahead mode, brought up to date when it is opened."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelstore.errors import Conflict, NybbleError, StorageFull
from runner.paths import make_private_file

_log = logging.getLogger(__name__)

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_BUSY_S = 30.0
"""How long one process waits for another that writes."""


@dataclass(frozen=True, slots=True)
class Schema:
    """`title` is what messages call the file ("the chat history"). Entry n of `migrations` is SQL that brings
    a file from `user_version` n to n + 1."""

    title: str
    migrations: Sequence[str]


class Database:
    """One file, one connection. Calls are synchronous and may come from any thread; other processes may read
    and write the same file.

    The file is opened at the first call, so that a broken one cannot keep a process from starting. A damaged
    file is moved aside, never deleted, and a new one is begun.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path = path
        self._schema = schema
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """One state of the file, also while others write. Raises as `transaction` does."""
        return self._begun("BEGIN")

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """What is written inside is durable at the end, or not there at all. Raises StorageFull if the disk
        is full, Conflict for a file of a newer nybble, and NybbleError if the file cannot be used."""
        return self._begun("BEGIN IMMEDIATE")

    @contextmanager
    def _begun(self, statement: str) -> Iterator[sqlite3.Connection]:
        with self._lock, self._reporting():
            if self._connection is None:
                self._connection = self._open()
            db = self._connection
            db.execute(statement)
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turns what SQLite and the file system say into errors for the user."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            title = self._schema.title
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise StorageFull(
                    f"the disk is full: {title} was not saved", hint=f"free space for {self._path}"
                ) from error
            raise NybbleError(f"{title} in {self._path} cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        make_private_file(self._path)
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _DAMAGED:
                raise
            aside = _move_aside(self._path)
            message = "%s %s is damaged (%s): kept as %s, a new one is begun"
            _log.error(message, self._schema.title, self._path, error, aside)
        make_private_file(self._path)
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            if (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                damage = sqlite3.DatabaseError(verdict)
                damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise damage
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        newest = len(self._schema.migrations)
        while (version := _version(db)) < newest:
            db.execute("BEGIN IMMEDIATE")
            # Another process may have been faster.
            if _version(db) == version:
                for statement in self._schema.migrations[version].split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        if version > newest:
            raise Conflict(
                f"{self._schema.title} was written by a newer nybble", hint="update nybble to see it"
            )


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


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
