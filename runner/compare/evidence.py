"""What was measured, in one SQLite file: scores block by block, texts, answers, and whole comparisons.

The conductor writes, the daemon reads, at the same time.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from modelstore.errors import Unusable
from runner.compare.variant import Engine, Variant
from runner.database import Database, Schema
from runner.errors import ComparisonNotFound
from runner.wire.compare import Comparison, ComparisonInfo

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


@dataclass(frozen=True, slots=True)
class Key:
    """Of texts that the reference wrote, or of what a candidate said beside it. `reference` and `candidate`
    are digests of the files, the settings say how each is run; `template` is the text of the chat template or
    its digest (None: plain text), `what` says in fixed words what was asked: which tokens, prompts, lengths.
    `engine` names the build of llama.cpp, `hardware` what it computes on."""

    kind: Literal["scores", "answers", "texts"]
    what: str
    reference: str
    reference_settings: Engine
    template: str | None
    engine: str
    hardware: str
    candidate: str | None = None
    candidate_settings: Engine | None = None

    @property
    def text(self) -> str:
        """The same for equal keys, and never for others."""
        return json.dumps(asdict(self), sort_keys=True)

    def beside(self, kind: Literal["scores", "answers"], what: str, candidate: Variant) -> Key:
        """Of what `candidate` said beside this reference."""
        settings = candidate.engine
        return replace(self, kind=kind, what=what, candidate=candidate.digest, candidate_settings=settings)


class Evidence:
    """Methods are synchronous, may be called from any thread, and raise what `Database` raises. What was kept
    is durable when a method returns."""

    def __init__(self, file: Path) -> None:
        self._database = Database(file, _SCHEMA)

    def close(self) -> None:
        self._database.close()

    def pieces(self, key: Key) -> dict[int, bytes]:
        """All that was kept for it, by number: in their order."""
        query = "SELECT number, payload FROM piece JOIN key ON key.id = key_id WHERE text = ? ORDER BY number"
        with self._database.reading() as db:
            return {row["number"]: row["payload"] for row in db.execute(query, (key.text,))}

    def keep_piece(self, key: Key, number: int, payload: bytes, *, is_draft: bool = False) -> None:
        """What was kept first stays, for somebody may have built on it; but a draft takes another's place."""
        otherwise = "REPLACE" if is_draft else "IGNORE"
        with self._database.transaction() as db:
            db.execute("INSERT OR IGNORE INTO key (text) VALUES (?)", (key.text,))
            query = f"INSERT OR {otherwise} INTO piece SELECT id, ?, ? FROM key WHERE text = ?"
            db.execute(query, (number, payload, key.text))

    def keep(self, comparison: Comparison) -> int:
        """Its id."""
        values = (_info(comparison).model_dump_json(), comparison.model_dump_json(exclude={"id"}))
        with self._database.transaction() as db:
            added = db.execute("INSERT INTO comparison (info, content) VALUES (?, ?)", values)
            return int(added.lastrowid or 0)

    def comparisons(self) -> list[ComparisonInfo]:
        """Newest first."""
        with self._database.reading() as db:
            rows = db.execute("SELECT id, info FROM comparison ORDER BY id DESC").fetchall()
        return [_listed(row["id"], row["info"]) for row in rows]

    def comparison(self, number: int) -> Comparison:
        """Raises ComparisonNotFound, and Unusable for one that cannot be read."""
        with self._database.reading() as db:
            row = db.execute("SELECT content FROM comparison WHERE id = ?", (number,)).fetchone()
        if row is None:
            hint = "`nybble compare list` shows the comparisons there are"
            raise ComparisonNotFound(f"there is no comparison {number}", hint=hint)
        try:
            return Comparison.model_validate_json(row["content"]).model_copy(update={"id": number})
        except ValidationError as error:
            raise Unusable(_unreadable(number, error), hint="measure it again with this nybble") from error


def _listed(number: int, info: str) -> ComparisonInfo:
    try:
        return ComparisonInfo.model_validate_json(info).model_copy(update={"id": number})
    except ValidationError as error:
        problem = _unreadable(number, error)
    return ComparisonInfo(id=number, created_at=None, model="", reference="", variants=[], problem=problem)


def _unreadable(number: int, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"comparison {number} cannot be read: {where or 'it'}: {first['msg']}"


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
