"""One variant before it is a file that can be run."""

from __future__ import annotations

from dataclasses import dataclass

from modelstore.gguf_types import nominal_bits
from modelstore.sources.remote import RemoteFile
from runner.compare.shelf import Book
from runner.compare.variant import Engine
from runner.compare.vary import SPECULATION, Way


@dataclass(frozen=True, slots=True)
class Made:
    """To be quantized from `source`."""

    source: Book
    label: str


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` is unique in its comparison once that is selected. `label` is the quantization people know it
    by, `size_bytes` an estimate for what has yet to be made. `origin` is a local model, what is to be
    quantized, or what is to be fetched. `tag` tells files of one label apart, `content` is equal only for
    what is the same file, and `vocabulary` for the same vocabulary (None if the file is not here)."""

    name: str
    label: str
    size_bytes: int
    bits: int
    origin: Book | Made | RemoteFile
    tag: str
    content: str
    vocabulary: str | None = None
    way: Way | None = None
    """Where settings are compared instead of files."""

    @classmethod
    def of_book(cls, book: Book) -> Entry:
        file, label = book.manifest, book.label
        vocabulary = book.identity.vocabulary
        return cls(label, label, file.size_bytes, book.bits, book, file.name, file.digest, vocabulary)

    @classmethod
    def of_made(cls, source: Book, label: str) -> Entry:
        bits, vocabulary = nominal_bits(label), source.identity.vocabulary
        size_bytes = source.header.parameter_count * bits // 8
        tag, content = f"{source.manifest.name} {label}", f"{source.manifest.digest} {label}"
        return cls(label, label, size_bytes, bits, Made(source, label), tag, content, vocabulary)

    @classmethod
    def of_file(cls, file: RemoteFile) -> Entry:
        label = file.name.rpartition(":")[2]
        return cls(label, label, file.size_bytes, nominal_bits(label), file, file.name, str(file.digest))

    @property
    def settings(self) -> dict[str, str]:
        return {self.way.setting: self.way.value} if self.way else {}

    @property
    def is_served(self) -> bool:
        """Speculation is what llama.cpp is not told, and only the daemon can do."""
        return SPECULATION in self.settings

    def engine(self, usual: Engine) -> Engine:
        return self.way.applied(usual) if self.way else usual
