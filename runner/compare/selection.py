"""Which variants a comparison has, and which of them is the reference: local files, files of a hub, and those
that have yet to be made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from modelstore import names
from modelstore.errors import InvalidName, NotFound, NybbleError, Unusable, UserError
from modelstore.gguf_types import FILE_TYPES, nominal_bits
from modelstore.quantize import refuse_lossy
from modelstore.sources.remote import RemoteFile
from modelstore.store import Store
from runner.compare import vary
from runner.compare.entry import Entry
from runner.compare.order import Order, Talk
from runner.compare.shelf import Book, Shelf
from runner.compare.variant import Engine
from runner.text import clean_name
from runner.wire.compare import CompareRequest

USUAL = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M")
"""Made where there is only one file of at least eight bits, and nobody said which."""

_LOSSLESS_BITS = 16
_LABELS = {label.upper(): label for label in FILE_TYPES.values()}


@dataclass(frozen=True, slots=True)
class Selection:
    """`failed` are names that were asked for and cannot be had, with the reason."""

    reference: Entry
    candidates: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    failed: tuple[tuple[str, NybbleError], ...] = ()

    @property
    def served(self) -> list[Entry]:
        return [entry for entry in self.candidates if entry.is_served]

    @property
    def groups(self) -> list[list[Entry]]:
        """What is measured together: all that is here or made here; files of a hub one at a time."""
        run = [entry for entry in self.candidates if not entry.is_served]
        here = [entry for entry in run if not isinstance(entry.origin, RemoteFile)]
        fetched = [[entry] for entry in run if isinstance(entry.origin, RemoteFile)]
        return [*([here] if here else []), *fetched]

    @property
    def foreign(self) -> set[str]:
        """Names of those with another vocabulary than the reference."""
        ours = self.reference.vocabulary
        return {each.name for each in self.candidates if ours and each.vocabulary not in (None, ours)}


def select(order: Order, store: Store, engine: Engine, talk: Talk) -> Selection:
    """What the order means. Raises NybbleError where there is nothing to compare."""
    request, settings, shelf = order.request, order.settings, Shelf(store)
    if request.vary:
        return varied_selection(shelf, request, engine)
    ref = names.parse(request.name)
    if not isinstance(ref, names.HubName) or ref.tag is not None or settings.offline:
        return local_selection(shelf, request)
    from modelstore.sources.huggingface import HubOptions, HubSource

    options = HubOptions(settings.hf_endpoint, settings.hf_token, settings.offline)
    talk.progress("listing", str(ref))
    return hub_selection(request, HubSource(ref, options).files(talk.cancelled), shelf)


def local_selection(shelf: Shelf, request: CompareRequest) -> Selection:
    """Of models that are here. Raises NotFound, Unusable, UserError."""
    same, others = shelf.related(shelf.book(request.name))
    best = max(same, key=lambda book: _precision(Entry.of_book(book)))
    usual, notes = [Entry.of_book(book) for book in same], []
    if request.quants is None and len(same) == 1:
        refuse_lossy(best.manifest.name, best.header.quantization or "unknown", "another quantization")
        usual = [Entry.of_made(best, label) for label in USUAL if nominal_bits(label) < best.bits]
        made = ", ".join(entry.label for entry in usual)
        notes.append(f"{best.manifest.name} is the only file of this model: {made} are made from it")
    if others and request.quants is None:
        listed = ", ".join(others)
        notes.append(f"of the same shape, but perhaps trained otherwise: {listed} (--quants compares them)")
    return _selection(request, partial(_find, shelf, same, best), usual, Entry.of_book(best), notes)


def hub_selection(request: CompareRequest, files: Sequence[RemoteFile], here: Shelf) -> Selection:
    """Of the files of a repository; what is here already is not fetched. Raises NotFound, UserError."""
    entries = [_of_file(file, here) for file in files]
    if not entries:
        raise _nothing("the repository has no model that is one file")
    by_word = {word.upper(): entry for entry in entries for word in (entry.tag, entry.label)}

    def find(word: str) -> Entry:
        if word.upper() in by_word:
            return by_word[word.upper()]
        hint = f"There is: {', '.join(sorted(entry.label for entry in entries))}."
        raise NotFound(f"the repository has no {clean_name(word)}", hint=hint)

    return _selection(request, find, entries, max(entries, key=_precision), ())


def varied_selection(shelf: Shelf, request: CompareRequest, usual: Engine) -> Selection:
    """One file in several ways; the first is how it is usually run. Raises NotFound, Unusable, UserError."""
    if request.quants is not None or request.reference is not None:
        raise UserError("either files are compared or settings", hint="Leave out --quants and --reference.")
    reference = Entry.of_book(shelf.book(request.name))
    candidates = [
        replace(reference, name=f"{reference.name} · {way.title}", way=way)
        for way in vary.ways(request.vary)
        if way.setting == vary.SPECULATION or way.applied(usual) != usual
    ]
    if not candidates:
        raise UserError("all of these settings are what is used anyway", hint="Name others to compare with.")
    return Selection(reference, tuple(candidates))


def _find(shelf: Shelf, same: Sequence[Book], best: Book, word: str) -> Entry:
    """A label of a file that is here, one that can be made, or a tag. `same` are the files of one model,
    `best` the one that others are made from. Raises UserError, Unusable."""
    label = word.upper()
    # Its own label first: a file called Q4_K_M may hold nothing but Q5_0.
    for book in sorted(same, key=lambda book: book.label != label):
        if label in (book.label, book.header.quantization):
            return Entry.of_book(book)
    if label in _LABELS:
        return _made(best, _LABELS[label])
    with suppress(InvalidName, NotFound):
        return Entry.of_book(shelf.book(word))
    raise UserError(f"{clean_name(word)} is neither a quantization nor a local model")


def _made(source: Book, label: str) -> Entry:
    name, holds = source.manifest.name, source.header.quantization or "unknown"
    refuse_lossy(name, holds, label)
    if nominal_bits(label) > source.bits:
        raise Unusable(f"{label} would be no better than {name} ({holds})")
    return Entry.of_made(source, label)


def _of_file(file: RemoteFile, here: Shelf) -> Entry:
    entry = Entry.of_file(file)
    # A damaged one is fetched again.
    with suppress(NotFound, Unusable):
        found = here.book(file.name)
        if found.manifest.digest == entry.content:
            tag, vocabulary = found.manifest.name, found.identity.vocabulary
            return replace(entry, origin=found, tag=tag, vocabulary=vocabulary)
    return entry


def _selection(
    request: CompareRequest,
    find: Callable[[str], Entry],
    usual: Sequence[Entry],
    best: Entry,
    notes: Sequence[str],
) -> Selection:
    """`find` says what a word means; `usual` and `best` are what is compared where nobody said which."""
    chosen, failed = _found(request.quants, find) if request.quants is not None else (usual, [])
    wanted = find(request.reference) if request.reference else best
    once: dict[str, Entry] = {}
    for entry in (wanted, *chosen):
        once.setdefault(entry.content, entry)
    reference, *candidates = _unique([*once.values()], [word for word, _ in failed])
    copies = _copies([*once.values(), *chosen], once)
    if not candidates:
        hint = failed[0][1].hint if failed else "--quants names what to compare it with."
        why = [*(error.message for _, error in failed), *copies]
        raise _nothing("; ".join(why) or f"{wanted.tag} is alone", hint)
    return Selection(reference, tuple(candidates), (*notes, *copies, *_about(reference)), tuple(failed))


def _found(
    words: Sequence[str], find: Callable[[str], Entry]
) -> tuple[list[Entry], list[tuple[str, NybbleError]]]:
    """What the words mean, and those that mean nothing."""
    found, failed = [], []
    for word in words:
        try:
            found.append(find(word))
        except NybbleError as error:
            failed.append((word, error))
    return found, failed


def _nothing(why: str, hint: str | None = None) -> UserError:
    return UserError(f"nothing to compare: {why}", hint=hint)


def _about(reference: Entry) -> list[str]:
    """What a reader must know of the reference."""
    notes = []
    if reference.bits < _LOSSLESS_BITS:
        own = "its own (about 0.001 to 0.005 nats)" if reference.label == "Q8_0" else "its own"
        notes.append(
            f"the reference is {reference.label}: differences are from that, not from the original, "
            f"and {own} come on top"
        )
    book = reference.origin
    if isinstance(book, Book) and "dequantized" in (book.manifest.derived_from or ""):
        notes.append(f"the reference holds no more than what it was made of: {book.manifest.derived_from}")
    return notes


def _unique(entries: Sequence[Entry], words: Sequence[str]) -> list[Entry]:
    """Labels as names where they tell files apart, also from `words` that name none; tags where they do
    not."""
    counts = Counter([*(entry.label for entry in entries), *words])
    return [entry if counts[entry.label] == 1 else replace(entry, name=entry.tag) for entry in entries]


def _copies(entries: Sequence[Entry], once: Mapping[str, Entry]) -> list[str]:
    """What is left out because the same file is there by another name."""
    first = {entry.tag: once[entry.content].tag for entry in entries}
    return [f"{tag} is {other} by another name" for tag, other in first.items() if tag != other]


def _precision(entry: Entry) -> tuple[int, int]:
    return entry.bits, entry.size_bytes
