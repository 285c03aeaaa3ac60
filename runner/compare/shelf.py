"""The local models as a comparison sees them: which tags hold the same model, by what their files say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from modelstore import names
from modelstore.errors import NybbleError
from modelstore.gguf_types import nominal_bits
from modelstore.header import Header
from modelstore.manifests import Manifest
from modelstore.store import Store
from runner.compare.fetched import is_temporary
from runner.compare.variant import header_of


@dataclass(frozen=True, slots=True)
class Identity:
    """What two files share if one is a quantization of the other's model."""

    architecture: str
    shapes: frozenset[tuple[str, tuple[int, ...]]]
    vocabulary: str


@dataclass(frozen=True, slots=True)
class Book:
    """One local model; `header` is without its long arrays, which `identity` has counted in."""

    manifest: Manifest
    header: Header
    identity: Identity

    @property
    def label(self) -> str:
        """What people call the file; `header.quantization` is what it really holds."""
        return self.header.file_label or self.header.quantization or "unknown"

    @property
    def bits(self) -> int:
        """Of most weights, by name."""
        return nominal_bits(self.header.quantization or "")


def identity(header: Header) -> Identity:
    # A quantizer may write the output layer of tied embeddings out, or not.
    shapes = frozenset((t.name, t.shape) for t in header.tensors if t.name != "output.weight")
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    digest = hashlib.sha256(repr(tokens).encode("utf-8", "replace")).hexdigest()
    return Identity(header.architecture, shapes, digest)


class Shelf:
    """Reads headers of what is asked for only: those of large vocabularies take half a second."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, Book] = {}

    def book(self, name: str) -> Book:
        """Raises NotFound, InvalidName, Unusable."""
        return self._book(self._store.get(name))

    def related(self, book: Book) -> tuple[list[Book], list[str]]:
        """The same model in other files, one tag each, `book` first; and names of models of the same shape
        and vocabulary that are called otherwise: perhaps another training of it."""
        same, others, seen = [book], [], {book.manifest.digest}
        for other in self._similar(book):
            if other.manifest.digest in seen or other.identity != book.identity:
                continue
            if is_related(book, other):
                same.append(other)
            else:
                others.append(other.manifest.name)
            seen.add(other.manifest.digest)
        return same, others

    def _similar(self, book: Book) -> Iterator[Book]:
        mine = book.manifest
        for other in self._store.models():
            if is_temporary(other.name):
                continue  # another comparison's
            if (other.architecture, other.embedding_length) == (mine.architecture, mine.embedding_length):
                # What is unusable and was not asked for: `nybble list` and `nybble show` say so.
                with suppress(NybbleError):
                    yield self._book(other)

    def _book(self, manifest: Manifest) -> Book:
        if manifest.digest not in self._read:
            header = header_of(self._store.check(manifest))
            self._read[manifest.digest] = Book(manifest, header.without_long_arrays(), identity(header))
        return replace(self._read[manifest.digest], manifest=manifest)


def is_related(one: Book, other: Book) -> bool:
    """Whether two files of equal identity are, by name or descent, of the same training."""
    ours, theirs = one.manifest, other.manifest
    if _stem(ours.name) == _stem(theirs.name) or _descends(ours, theirs) or _descends(theirs, ours):
        return True
    has_same_name = one.header.name is not None and one.header.name == other.header.name
    return has_same_name and one.header.chat_template == other.header.chat_template


def _stem(name: str) -> str:
    return names.key(name.rpartition(":")[0])


def _descends(child: Manifest, parent: Manifest) -> bool:
    return (child.derived_from or "").startswith(f"{parent.name} (")
