"""What was measured, in one SQLite file: scores block by block, figures, texts, and whole comparisons.

The conductor writes, the daemon reads, at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from runner.compare.block import Block
from runner.compare.keys import FigureKey, Key, ScoreKey, TextKey, as_text
from runner.database import Database, Schema
from runner.errors import ComparisonNotFound
from runner.wire.compare import Comparison, ComparisonInfo

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = Schema(
    "the record of comparisons",
    (
        """
        CREATE TABLE key (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
        CREATE TABLE piece (
            key_id INTEGER NOT NULL REFERENCES key (id),
            number INTEGER NOT NULL,
            payload BLOB NOT NULL,
            PRIMARY KEY (key_id, number)
        );
        CREATE TABLE comparison (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            info TEXT NOT NULL,
            content TEXT NOT NULL
        )
        """,
    ),
)


class Evidence:
    """Methods are synchronous, may be called from any thread, and raise what `Database` raises. What was kept
    is durable when a method returns."""

    def __init__(self, file: Path) -> None:
        self._database = Database(file, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    def scores(self, key: ScoreKey) -> dict[int, bytes]:
        """By number of the block, as `stored_scores.encode` wrote them."""
        return self._pieces(key)

    def keep_scores(self, key: ScoreKey, index: int, payload: bytes) -> None:
        self._keep_pieces(key, [(index, payload)])

    def figure(self, key: FigureKey) -> bytes | None:
        return self._pieces(key).get(0)

    def keep_figure(self, key: FigureKey, payload: bytes) -> None:
        self._keep_pieces(key, [(0, payload)])

    def texts(self, key: TextKey) -> list[Block]:
        """In the order of their numbers."""
        return [_block(payload) for _, payload in sorted(self._pieces(key).items())]

    def keep_texts(self, key: TextKey, blocks: Iterable[Block]) -> None:
        """Beside those that are there; a block of the same number is replaced."""
        self._keep_pieces(key, [(block.index, json.dumps(asdict(block)).encode()) for block in blocks])

    def keep(self, comparison: Comparison) -> int:
        """Its id: a new one, or that of `comparison` if it has been kept before and is now replaced."""
        values = (_info(comparison).model_dump_json(), comparison.model_dump_json(exclude={"id"}))
        with self._database.transaction() as db:
            if comparison.id is None:
                added = db.execute("INSERT INTO comparison (info, content) VALUES (?, ?)", values)
                return int(added.lastrowid or 0)
            query = "UPDATE comparison SET info = ?, content = ? WHERE id = ?"
            if db.execute(query, (*values, comparison.id)).rowcount == 0:
                raise _unknown(comparison.id)
        return comparison.id

    def comparisons(self) -> list[ComparisonInfo]:
        """Newest first."""
        with self._database.reading() as db:
            rows = db.execute("SELECT id, info FROM comparison ORDER BY id DESC").fetchall()
        infos = [(row["id"], ComparisonInfo.model_validate_json(row["info"])) for row in rows]
        return [info.model_copy(update={"id": number}) for number, info in infos]

    def comparison(self, number: int) -> Comparison:
        """Raises ComparisonNotFound."""
        with self._database.reading() as db:
            row = db.execute("SELECT content FROM comparison WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise _unknown(number)
        return Comparison.model_validate_json(row["content"]).model_copy(update={"id": number})

    def _pieces(self, key: Key) -> dict[int, bytes]:
        query = "SELECT number, payload FROM piece JOIN key ON key.id = key_id WHERE text = ?"
        with self._database.reading() as db:
            return {row["number"]: row["payload"] for row in db.execute(query, (as_text(key),))}

    def _keep_pieces(self, key: Key, pieces: Iterable[tuple[int, bytes]]) -> None:
        with self._database.transaction() as db:
            key_id = _key_id(db, as_text(key))
            query = "INSERT OR REPLACE INTO piece (key_id, number, payload) VALUES (?, ?, ?)"
            db.executemany(query, [(key_id, number, payload) for number, payload in pieces])


def _key_id(db: sqlite3.Connection, text: str) -> int:
    db.execute("INSERT OR IGNORE INTO key (text) VALUES (?)", (text,))
    number: int = db.execute("SELECT id FROM key WHERE text = ?", (text,)).fetchone()[0]
    return number


def _block(payload: bytes) -> Block:
    fields = json.loads(payload)
    return Block(**{**fields, "tokens": tuple(fields["tokens"])})


def _info(comparison: Comparison) -> ComparisonInfo:
    """The line of the list. Only a finished comparison knows how long it took."""
    recommended = comparison.recommendation
    return ComparisonInfo(
        id=comparison.id or 0,
        created_at=comparison.created_at,
        model=comparison.model,
        reference=comparison.reference,
        variants=[variant.name for variant in comparison.variants],
        choice=recommended.choice if recommended else None,
        is_finished=comparison.seconds is not None,
    )


def _unknown(number: int) -> ComparisonNotFound:
    hint = "`nybble compare list` shows the comparisons there are"
    return ComparisonNotFound(f"there is no comparison {number}", hint=hint)
