"""Files named by the SHA-256 of their bytes, and how a file becomes one: verified first, then published."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

from filelock import FileLock, Timeout

from modelstore import progress
from modelstore.errors import InvalidName, NotFound, StorageFull, Unusable
from modelstore.progress import Emit, Progress, Throttle
from modelstore.replacing import replace_file

CHUNK_BYTES = 1024 * 1024
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_FILE_NAME = re.compile(r"sha256-([0-9a-f]{64})")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LOCK_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256 as 64 lower-case hex digits. Paths are built from it: only `parse` and hashing make one."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise InvalidName(f"{text[:80]!r} is not a digest of the form sha256:<64 hex digits>")
        return cls(match[1])

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


class Blobs:
    """The folders `blobs` (published files) and `partial` (files on their way) under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs"
        self._partial = root / "partial"

    def path(self, digest: Digest) -> Path:
        return self._blobs / f"sha256-{digest.hex}"

    def partial_path(self, key: str) -> Path:
        """Where a file is written before it is published; the same `key` finds it again after a restart."""
        make_folder(self._partial)
        return self._partial / f"{key}.partial"

    def exclusive(self, key: str, cancelled: Event) -> contextlib.AbstractContextManager[object]:
        """Waits until no other thread or process writes the partial of `key`; it is held to the end of the
        context. Raises Cancelled while waiting."""
        lock = self._lock(key)
        while True:
            progress.check(cancelled)
            with contextlib.suppress(Timeout):
                return lock.acquire(timeout=_LOCK_POLL_S)

    @contextlib.contextmanager
    def scratch(self, key: str, cancelled: Event) -> Iterator[Path]:
        """A partial for one writer that nobody continues: what is left of it at the end goes."""
        with self.exclusive(key, cancelled):
            partial = self.partial_path(key)
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)

    def publish(self, source: Path, digest: Digest) -> None:
        """Makes the verified file `source` the blob of `digest`: durable, then visible, then read-only."""
        target = self.path(digest)
        make_folder(self._blobs)
        with storage_errors(target):
            if _is_ours_alone(source):
                sync_file(source)
            _set_mode(target, 0o600)
            try:
                replace_file(source, target)
                sync_folder(self._blobs)
            finally:
                _set_mode(target, 0o400)

    def delete(self, digest: Digest) -> int:
        """Removes the blob; returns the bytes freed, 0 if it was not there or has other hard links. What
        somebody holds stays for a later sweep: `exclusive`, or as Windows does with files in use."""
        target = self.path(digest)
        with storage_errors(target):
            try:
                with self._lock(digest.hex).acquire(timeout=0):
                    status = target.lstat()
                    _set_mode(target, 0o600)
                    target.unlink()
            except (Timeout, FileNotFoundError, PermissionError):
                return 0
        return status.st_size if status.st_nlink == 1 else 0

    def older_than(self, age_s: float) -> Iterator[Digest]:
        """Blobs that nothing has touched for so long: their bytes, their names or their modes."""
        for path in self._blobs.glob("sha256-*"):
            status, match = path.lstat(), _FILE_NAME.fullmatch(path.name)
            # An import keeps the time at which its file was written, but not that of its new name.
            touched_s = max(status.st_mtime, status.st_ctime)
            if match and time.time() - touched_s >= age_s:
                yield Digest(match[1])

    def ensure_free(self, needed_bytes: int) -> None:
        """Raises StorageFull, with both numbers, if the store's disk has less than `needed_bytes` free."""
        make_folder(self.root)
        free_bytes = shutil.disk_usage(self.root).free
        if needed_bytes > free_bytes:
            raise StorageFull(
                f"Needs {megabytes(needed_bytes)} but only {megabytes(free_bytes)} are free in {self.root}",
                hint="Free some space or move the store: NYBBLE_HOME. What is already downloaded is kept.",
            )

    def _lock(self, key: str) -> FileLock:
        return FileLock(self.partial_path(key).with_suffix(".lock"), mode=0o600, thread_local=False)


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading, and nothing else: no link is followed, a FIFO does not block."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist") from None
    except OSError as error:
        raise Unusable(f"Cannot open {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Unusable(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def regular_size_bytes(path: Path) -> int | None:
    """Size of a regular file, None if nothing is there, Unusable if it is a link, folder or device."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise Unusable(
            f"{path} is not a regular file", hint="Something replaced a file of the store: remove it."
        )
    return status.st_size


def hash_file(path: Path, emit: Emit, cancelled: Event, detail: str | None = None) -> Digest:
    """SHA-256 of a regular file."""
    hasher, done_bytes, total_bytes = hashlib.sha256(), 0, path.stat().st_size
    report = Throttle(emit)
    with open_regular(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            progress.check(cancelled)
            hasher.update(chunk)
            done_bytes += len(chunk)
            report(Progress("verifying", detail, None, done_bytes, total_bytes))
    return Digest(hasher.hexdigest())


def make_folder(path: Path) -> None:
    """Makes `path` and the parents it lacks, for their owner only."""
    if not path.is_dir():
        make_folder(path.parent)
        with storage_errors(path):
            path.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards; one that a killed job left behind goes first."""
    shutil.rmtree(path, ignore_errors=True)
    make_folder(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sync_file(path: Path) -> None:
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Makes a rename in `path` survive a power cut, where folders can be opened at all."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns a failure to write into StorageFull or Unusable, naming the path."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                f"No space left to write {path}: {error.strerror}",
                hint="Free some space and repeat the command: what is already downloaded is kept.",
            ) from error
        raise Unusable(
            f"Cannot write {path}: {error.strerror}",
            hint="Check the owner and mode of the store's folder. On Windows, unload what is to be replaced.",
        ) from error


def check_room(path: Path) -> None:
    """Raises StorageFull or Unusable if the file `path` cannot grow. For what could not be written, and whose
    writer, a child, does not say why: nobody keeps the file."""
    with storage_errors(path), path.open("ab", buffering=0) as stream:
        stream.write(bytes(CHUNK_BYTES))


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"


def _is_ours_alone(path: Path) -> bool:
    """Whether `path` is a regular file without a second link: that one would be a file of the user."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _set_mode(path: Path, mode: int) -> None:
    """Changes the mode of a file that is ours alone. (Windows replaces and deletes no read-only files.)"""
    if os.path.lexists(path) and _is_ours_alone(path):
        path.chmod(mode)
