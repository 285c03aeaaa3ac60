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
class Offered:
    """To be fetched: `name` is what `nybble pull` takes."""

    name: str
    file: RemoteFile


@dataclass(frozen=True, slots=True)
class Entry:
    """`name` is unique in its comparison once that is selected. `label` is the quantization people know it
    by, `size_bytes` an estimate for what has yet to be made."""

    name: str
    label: str
    size_bytes: int
    bits: int
    origin: Book | Made | Offered
    way: Way | None = None
    """Where settings are compared instead of files."""

    @classmethod
    def of_book(cls, book: Book) -> Entry:
        return cls(book.label, book.label, book.manifest.size_bytes, book.bits, book)

    @classmethod
    def of_made(cls, source: Book, label: str) -> Entry:
        bits = nominal_bits(label)
        return cls(label, label, source.header.parameter_count * bits // 8, bits, Made(source, label))

    @property
    def tag(self) -> str:
        """What tells files of one label apart."""
        origin = self.origin
        if isinstance(origin, Book):
            return origin.manifest.name
        return origin.name if isinstance(origin, Offered) else f"{origin.source.manifest.name} {origin.label}"

    @property
    def content(self) -> str:
        """Equal only for what is the same file."""
        origin = self.origin
        if isinstance(origin, Book):
            return origin.manifest.digest
        if isinstance(origin, Offered):
            return str(origin.file.digest)
        return f"{origin.source.manifest.digest} {origin.label}"

    @property
    def settings(self) -> dict[str, str]:
        return {self.way.setting: self.way.value} if self.way else {}

    @property
    def is_served(self) -> bool:
        """Speculation is what llama.cpp is not told, and only the daemon can do."""
        return SPECULATION in self.settings

    def engine(self, usual: Engine) -> Engine:
        return self.way.applied(usual) if self.way else usual

    @property
    def vocabulary(self) -> str | None:
        """Equal for equal vocabularies; None if the file is not here."""
        if isinstance(self.origin, Offered):
            return None
        book = self.origin if isinstance(self.origin, Book) else self.origin.source
        return book.identity.vocabulary
