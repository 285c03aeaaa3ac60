"""One benchmark's result, and the file of all results: a JSON object a line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

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
        return asdict(self) | {"at": self.at.isoformat(timespec="seconds"), "disturbed": self.disturbed}

    @classmethod
    def of(cls, fields: Any) -> Run:
        """The opposite of `fields`. Raises ValueError, KeyError or TypeError."""
        return cls(
            at=datetime.fromisoformat(fields["at"]),
            setup=dict(fields["setup"]),
            figures=tuple(
                Figure(**figure | {"threads": tuple(figure.get("threads", ()))})
                for figure in fields["figures"]
            ),
            warnings=tuple(fields["warnings"]),
            number=int(fields["number"]),
        )


def load(file: Path) -> list[Run]:
    """All runs, oldest first. Raises NybbleError if a line is damaged."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [_parsed(file, number, line) for number, line in enumerate(lines, 1)]


def _parsed(file: Path, number: int, line: str) -> Run:
    try:
        return Run.of(json.loads(line))
    except (ValueError, KeyError, TypeError):
        raise NybbleError(f"line {number} of {file} is damaged", hint="remove this line") from None


def keep(file: Path, run: Run) -> Run:
    """Append `run` under the next number."""
    kept = replace(run, number=max((each.number for each in load(file)), default=0) + 1)
    make_private(file.parent)
    with file.open("a", encoding="utf-8") as stream:
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
