"""One benchmark's result, and the file of all results: a JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from modelstore.blobs import storage_errors
from modelstore.errors import NotFound, NybbleError
from runner.bench.figures import Figure
from runner.paths import make_private


@dataclass(frozen=True, slots=True)
class Run:
    """`setup` is all that the figures depend on and `warnings` what disturbed them, both for people.
    `number` is 0 until it is kept."""

    at: datetime
    setup: dict[str, str]
    figures: tuple[Figure, ...]
    warnings: tuple[str, ...]
    number: int = 0

    @property
    def model(self) -> str:
        return self.setup["model"]

    @property
    def disturbed(self) -> bool:
        return any(figure.disturbed for figure in self.figures)

    def fields(self) -> dict[str, Any]:
        """For JSON."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields | {"disturbed": self.disturbed}


def load(file: Path) -> list[Run]:
    """All runs, oldest first. Raises NybbleError if a line is damaged."""
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [_parsed(file, number, line) for number, line in enumerate(lines, 1)]


def _parsed(file: Path, number: int, line: bytes) -> Run:
    try:
        return msgspec.json.decode(line, type=Run)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise NybbleError(f"line {number} of {file} is damaged", hint="remove this line") from None


def keep(file: Path, run: Run) -> Run:
    """Append `run` under the next number. Raises NybbleError."""
    kept = replace(run, number=max((each.number for each in load(file)), default=0) + 1)
    make_private(file.parent)
    with storage_errors(file), file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(kept.fields()) + "\n")
    return kept


def find(runs: list[Run], wanted: str, digest: str) -> Run:
    """Run number `wanted`, or for "last" the latest of the weights `digest`. Raises NotFound."""
    if wanted == "last":
        found = [run for run in runs if run.setup["digest"] == digest]
    else:
        found = [run for run in runs if str(run.number) == wanted]
    if not found:
        which = "earlier run of this model" if wanted == "last" else f"run {wanted}"
        raise NotFound(f"there is no {which}", hint="`nybble bench --history` lists the runs")
    return found[-1]
