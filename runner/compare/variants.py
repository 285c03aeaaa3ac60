"""Which variants a comparison has, and which of them is the reference: local files, files of a hub, and those
that have yet to be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelstore import names
from modelstore.errors import InvalidName, NotFound, NybbleError, Unusable, UserError
from modelstore.gguf_types import FILE_TYPES, nominal_bits
from modelstore.quantize import refuse_lossy
from modelstore.sources.remote import RemoteFile
from runner.compare import vary
from runner.compare.shelf import Book, Shelf
from runner.compare.variant import Engine
from runner.compare.vary import Way
from runner.text import clean_name
from runner.wire.compare import CompareRequest

USUAL = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M")
"""Made where there is only one file of at least eight bits, and nobody said which."""

_LOSSLESS_BITS = 16
_LABELS = {label.upper(): label for label in FILE_TYPES.values()}


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
    """One variant before it is a file that can be run. `label` is the quantization people know it by,
    `size_bytes` an estimate for what has yet to be made."""

    name: str
    label: str
    size_bytes: int
    bits: int
    origin: Book | Made | Offered
    way: Way | None = None
    """Where settings are compared instead of files."""

    @property
    def settings(self) -> dict[str, str]:
        return {self.way.setting: self.way.value} if self.way else {}

    def engine(self, usual: Engine) -> Engine:
        return self.way.applied(usual) if self.way else usual

    @property
    def vocabulary(self) -> str | None:
        """Equal for equal vocabularies; None if the file is not here."""
        if isinstance(self.origin, Offered):
            return None
        book = self.origin if isinstance(self.origin, Book) else self.origin.source
        return book.identity.vocabulary


@dataclass(frozen=True, slots=True)
class Selection:
    """`failed` are names that were asked for and cannot be had, with the reason."""

    reference: Entry
    candidates: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    failed: tuple[tuple[str, NybbleError], ...] = ()


def local_selection(shelf: Shelf, request: CompareRequest) -> Selection:
    """Of models that are here. Raises NotFound, Unusable, UserError."""
    asked = shelf.book(request.name)
    same, others = shelf.related(asked)
    best = max(same, key=_precision)
    words = request.quants
    notes = []
    if words is None and len(same) == 1:
        refuse_lossy(best.manifest.name, best.header.quantization or "unknown", "another quantization")
        words = [label for label in USUAL if nominal_bits(label) < best.bits]
        notes.append(
            f"{best.manifest.name} is the only file of this model: {', '.join(words)} are made from it"
        )
    if others and request.quants is None:
        listed = ", ".join(others)
        notes.append(f"of the same shape, but perhaps trained otherwise: {listed} (--quants compares them)")
    find = _Finder(shelf, same, best)
    chosen = [_of_book(book) for book in same] if words is None else find.all(words)
    reference = find.one(request.reference) if request.reference else _of_book(best)
    return _selection(reference, chosen, notes, find.failed)


def hub_selection(request: CompareRequest, files: Sequence[RemoteFile], here: Shelf) -> Selection:
    """Of the files of a repository; what is here already is not fetched. Raises NotFound."""
    entries = _unique([_of_file(file, here) for file in files])
    by_label = {entry.label.upper(): entry for entry in reversed(entries)}

    def missing(word: str) -> NotFound:
        return NotFound(f"the repository has no {word}", hint=f"There is: {', '.join(sorted(by_label))}.")

    failed: list[tuple[str, NybbleError]] = []
    chosen = entries
    if request.quants is not None:
        failed = [(word, missing(word)) for word in request.quants if word.upper() not in by_label]
        chosen = [by_label[word.upper()] for word in request.quants if word.upper() in by_label]
    if request.reference is None:
        reference = _best(entries)
    elif (found := by_label.get(request.reference.upper())) is not None:
        reference = found
    else:
        raise missing(request.reference)
    return _selection(reference, chosen, [], failed)


def varied_selection(shelf: Shelf, request: CompareRequest, usual: Engine) -> Selection:
    """One file in several ways; the first is how it is usually run. Raises NotFound, Unusable, UserError."""
    if request.quants is not None or request.reference is not None:
        raise UserError("either files are compared or settings", hint="Leave out --quants and --reference.")
    reference = _of_book(shelf.book(request.name))
    candidates = [
        replace(reference, name=f"{reference.name} · {way.title}", way=way)
        for way in vary.ways(request.vary)
        if way.setting == vary.SPECULATION or way.applied(usual) != usual
    ]
    if not candidates:
        raise UserError("all of these settings are what is used anyway", hint="Name others to compare with.")
    return Selection(reference, tuple(candidates))


class _Finder:
    """What the words of a request mean; those that mean nothing are collected in `failed`."""

    def __init__(self, shelf: Shelf, same: Sequence[Book], best: Book) -> None:
        self._shelf = shelf
        self._same = same
        self._best = best
        self.failed: list[tuple[str, NybbleError]] = []

    def all(self, words: Sequence[str]) -> list[Entry]:
        found = []
        for word in words:
            try:
                found.append(self.one(word))
            except NybbleError as error:
                self.failed.append((word, error))
        if not found and self.failed:
            reasons = "; ".join(error.message for _, error in self.failed)
            raise UserError(f"nothing to compare: {reasons}", hint=self.failed[0][1].hint)
        return found

    def one(self, word: str) -> Entry:
        """A label of a file that is here, one that can be made, or a tag. Raises UserError, Unusable."""
        label = word.upper()
        # Its own label first: a file called Q6_K may hold nothing but Q8_0.
        for book in sorted(self._same, key=lambda book: book.label != label):
            if label in (book.label, book.header.quantization):
                return _of_book(book)
        if label in _LABELS:
            return self._made(_LABELS[label])
        try:
            found = self._shelf.find(word)
        except InvalidName:
            found = None
        if found is None:
            raise UserError(f"{clean_name(word)} is neither a quantization nor a local model")
        return _of_book(found)

    def _made(self, label: str) -> Entry:
        source = self._best
        refuse_lossy(source.manifest.name, source.header.quantization or "unknown", label)
        if nominal_bits(label) > source.bits:
            raise Unusable(
                f"{label} would be no better than {source.manifest.name} ({source.header.quantization})"
            )
        size_bytes = source.header.parameter_count * nominal_bits(label) // 8
        return Entry(label, label, size_bytes, nominal_bits(label), Made(source, label))


def _of_book(book: Book) -> Entry:
    return Entry(book.label, book.label, book.manifest.size_bytes, book.bits, book)


def _of_file(file: RemoteFile, here: Shelf) -> Entry:
    label = file.name.rpartition(":")[2]
    found = here.find(file.name)
    is_here = found is not None and found.manifest.digest == str(file.digest)
    origin = found if found is not None and is_here else Offered(file.name, file)
    return Entry(label, label, file.size_bytes, nominal_bits(label), origin)


def _selection(
    reference: Entry, chosen: Sequence[Entry], notes: Sequence[str], failed: Sequence[tuple[str, NybbleError]]
) -> Selection:
    everything = _unique([reference, *(entry for entry in chosen if entry.origin != reference.origin)])
    return Selection(everything[0], tuple(everything[1:]), (*notes, *_about(everything[0])), tuple(failed))


def _about(reference: Entry) -> list[str]:
    """What a reader must know of the reference."""
    notes = []
    if reference.bits < _LOSSLESS_BITS:
        notes.append(
            f"the reference is {reference.label}: differences are from that, not from the original, and its "
            "own (about 0.001 to 0.005 nats for Q8_0) come on top"
        )
    book = reference.origin
    if isinstance(book, Book) and "dequantized" in (book.manifest.derived_from or ""):
        notes.append(f"the reference holds no more than what it was made of: {book.manifest.derived_from}")
    return notes


def _unique(entries: Sequence[Entry]) -> list[Entry]:
    """Labels as names where they tell entries apart, tags where they do not."""
    counts = Counter(entry.label for entry in entries)
    return [entry if counts[entry.label] == 1 else replace(entry, name=_tag(entry)) for entry in entries]


def _tag(entry: Entry) -> str:
    origin = entry.origin
    if isinstance(origin, Book):
        return origin.manifest.name
    return origin.name if isinstance(origin, Offered) else f"{origin.source.manifest.name} {origin.label}"


def _best(entries: Sequence[Entry]) -> Entry:
    return max(entries, key=lambda entry: (entry.bits, entry.label == "F32", entry.size_bytes))


def _precision(book: Book) -> tuple[int, int]:
    return book.bits, book.manifest.size_bytes


def is_hub(name: str) -> names.HubName | None:
    """The repository that `name` means as a whole."""
    ref = names.parse(name)
    return ref if isinstance(ref, names.HubName) and ref.tag is None else None
