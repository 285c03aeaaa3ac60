"""What every remote source resolves a name to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from modelstore.blobs import Digest
from modelstore.partial import Partial

Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file that a source offers. `name` is its canonical model name; `scratch_bytes` is the disk space
    that fetching takes for a while besides the file itself.

    `fetch` brings a partial to `size_bytes` bytes and reports how many there are. It raises SourceUnavailable
    and leaves in the partial only bytes with which another call can go on.
    """

    name: str
    file_name: str
    size_bytes: int
    digest: Digest
    fetch: Callable[[Partial, Report, Event], None]
    scratch_bytes: int = 0
