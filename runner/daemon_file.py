"""The file by which a store's daemon is found. It may be stale: only an answer from its address counts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from modelstore.replacing import replace_file


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """`address` is `http://host:port`."""

    pid: int
    address: str
    version: str


def write(file: Path, record: DaemonRecord) -> None:
    """Readers see the old record or the new one, never half of one."""
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record)), "utf-8")
    replace_file(partial, file)


def read(file: Path) -> DaemonRecord | None:
    """None if there is no record, or none that makes sense."""
    try:
        fields = json.loads(file.read_text("utf-8"))
        return DaemonRecord(int(fields["pid"]), str(fields["address"]), str(fields["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
