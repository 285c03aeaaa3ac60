"""A GGUF file of this machine, brought into the store: as a hard link where possible, else as a copy."""

from __future__ import annotations

import stat
from pathlib import Path
from threading import Event

from modelstore import blobs, progress
from modelstore.blobs import Blobs
from modelstore.errors import InvalidModel, NotFound, UserError
from modelstore.progress import Emit, Progress, Throttle

_MAGIC = b"GGUF"


def resolve(path: str) -> Path:
    """The real file that the user named, links followed: that is what they asked for.

    Raises NotFound, UserError if it is not a regular file, InvalidModel if it does not begin like a GGUF.
    """
    try:
        real = Path(path).expanduser().resolve(strict=True)
        mode = real.stat().st_mode
    except FileNotFoundError:
        raise NotFound(f"There is no file {path!r}") from None
    except (OSError, RuntimeError) as error:
        raise UserError(f"Cannot read {path!r}: {error}") from error
    if not stat.S_ISREG(mode):
        raise UserError(f"{path!r} is not a regular file")
    with blobs.open_regular(real) as stream:
        magic = stream.read(len(_MAGIC))
    if magic != _MAGIC:
        raise InvalidModel(
            f"{path!r} is not a GGUF file: it does not begin with GGUF at byte 0",
            hint="nybble runs GGUF files only. Most models are to be had in that format.",
        )
    return real


def bring(source: Path, target: Path, store: Blobs, emit: Emit, cancelled: Event) -> None:
    """Makes `target`, a path on the store's disk, a link or copy of `source`."""
    with blobs.storage_errors(target):
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:  # another disk, no permission, or no hard links there: a copy does
            store.ensure_free(source.stat().st_size)
            _copy(source, target, Throttle(emit), cancelled)


def _copy(source: Path, target: Path, emit: Emit, cancelled: Event) -> None:
    total_bytes, done_bytes = source.stat().st_size, 0
    with blobs.open_regular(source) as reader, target.open("xb") as writer:
        target.chmod(0o600)
        while chunk := reader.read(blobs.CHUNK_BYTES):
            progress.check(cancelled)
            writer.write(chunk)
            done_bytes += len(chunk)
            emit(Progress("copying", str(source), completed_bytes=done_bytes, total_bytes=total_bytes))
