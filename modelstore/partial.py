"""A file on its way into the store: hashed while it is written, and continued after a restart."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from threading import Event

from modelstore import blobs, progress
from modelstore.blobs import Digest


class Partial:
    """Bytes 0 to `size_bytes` of a file. `validator` names the version of the source they came from (an ETag,
    say); bytes are only ever appended while it stays the same.

    A context manager: what there is at the end is kept for the next time.
    """

    def __init__(self, path: Path, cancelled: Event) -> None:
        """Opens or creates `path`; hashes what is there already. Unusable, StorageFull, Cancelled."""
        self.path = path
        self._origin = path.with_suffix(".origin")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with blobs.storage_errors(path):
            self._file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
            self.validator = self._origin.read_text("utf-8", "replace") if self._origin.is_file() else None
        self._hasher = hashlib.sha256()
        self.size_bytes = 0
        if self.validator is None:
            self._truncate()
        try:
            while chunk := self._file.read(blobs.CHUNK_BYTES):
                progress.check(cancelled)
                self._count(chunk)
        except progress.Cancelled:
            self.close()
            raise
        self.was_resumed = self.size_bytes > 0

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
        if not self.size_bytes:
            self.discard()

    def close(self) -> None:
        self._file.close()

    def restart(self, validator: str | None) -> None:
        """Forgets all bytes; those of `validator` follow. None: they cannot be continued later."""
        with blobs.storage_errors(self.path):
            self._origin.unlink(missing_ok=True)
            self._truncate()
            if validator is not None:
                self._origin.write_text(validator, encoding="utf-8")
        self.validator = validator
        self.was_resumed = False

    def write(self, chunk: bytes) -> None:
        """Appends `chunk`. StorageFull keeps what could be written."""
        rest = memoryview(chunk)
        with blobs.storage_errors(self.path):
            while rest:
                written = self._file.write(rest)
                self._count(rest[:written])
                rest = rest[written:]

    def finish(self) -> Digest:
        """The digest of all bytes, which are on the disk now."""
        with blobs.storage_errors(self.path):
            os.fsync(self._file.fileno())
        return Digest(self._hasher.hexdigest())

    def discard(self) -> None:
        """Closes the partial and removes what is left of it."""
        self._file.close()
        self._origin.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _truncate(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hasher, self.size_bytes = hashlib.sha256(), 0

    def _count(self, chunk: bytes | memoryview) -> None:
        self._hasher.update(chunk)
        self.size_bytes += len(chunk)
