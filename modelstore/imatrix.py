"""Importance matrices: which columns of a model's matrices matter, found in a child while it reads a text."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

from modelstore import progress
from modelstore.blobs import check_room, make_folder
from modelstore.child import Child, running
from modelstore.errors import Unusable
from modelstore.progress import Emit, Progress


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read: a text, of which the first `most_chunks` times `chunk_tokens` tokens are taken, or token
    sequences of at most `chunk_tokens`. `datasets` name it in the file that is made."""

    datasets: tuple[str, ...]
    text: str | None = None
    chunks: Sequence[Sequence[int]] | None = None
    chunk_tokens: int = 512
    most_chunks: int = 64
    threads: int = 1
    gpu_layers: int = -1


@dataclass(frozen=True, slots=True)
class Collected:
    """`tensors` were seen at work in `chunks` pieces of text."""

    file: Path
    tensors: int
    chunks: int


def collect(model: Path, reading: Reading, file: Path, emit: Emit, cancelled: Event) -> Collected:
    """Writes `file`, which appears when it is complete. Raises Unusable, StorageFull, Cancelled."""
    make_folder(file.parent)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        partial = Path(folder) / file.name
        with running("native.imatrix", cancelled) as child:
            child.send({"path": str(model), "destination": str(partial), **asdict(reading)})
            tensors, chunks = _follow(child, partial, emit, cancelled)
        partial.replace(file)
    return Collected(file, tensors, chunks)


def _follow(child: Child, partial: Path, emit: Emit, cancelled: Event) -> tuple[int, int]:
    for message in child.messages():
        if "chunk" in message:
            phase = "reading for the importance matrix"
            emit(Progress(phase, completed=message["chunk"], total=message["chunks"]))
        elif "error" in message:
            raise Unusable(f"No importance matrix can be collected: {message['error']}")
        else:
            return message["tensors"], message["chunks"]
    progress.check(cancelled)
    check_room(partial)
    raise Unusable(f"Collecting an importance matrix failed: {child.last_words()}")
