"""Makes an entry a file that can be run, and clears away afterwards what was only made for this."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from modelstore import progress, quantize
from modelstore.blobs import Digest, hash_file, make_folder
from modelstore.conversion import Conversion, Recipe
from modelstore.errors import DigestMismatch
from modelstore.manifests import Manifest
from modelstore.progress import Progress
from modelstore.store import Store
from runner import wire
from runner.client import Client
from runner.compare import fetched
from runner.compare.entry import Entry, Made
from runner.compare.order import Order, Talk
from runner.compare.shelf import Book
from runner.compare.variant import Engine, Variant

_IN_USE = "in-use.lock"


@dataclass(frozen=True, slots=True)
class Workshop:
    """`folder` is this comparison's own, for files that no tag belongs to; `engine` is how files are run
    unless an entry says otherwise."""

    store: Store
    order: Order
    folder: Path
    engine: Engine
    talk: Talk

    @contextmanager
    def ready(self, entry: Entry) -> Iterator[Variant]:
        """The variant as long as the block runs. Raises NybbleError for what cannot be had, is damaged or
        cannot be made."""
        if isinstance(entry.origin, Book):
            yield self._local(entry, entry.origin.manifest)
        elif isinstance(entry.origin, Made):
            yield self._made(entry, entry.origin)
        else:
            yield from self._fetched(entry)

    def _local(self, entry: Entry, manifest: Manifest) -> Variant:
        """Its bytes are read again: figures are kept under their digest."""
        path = self.store.check(manifest)
        if hash_file(path, self._emit, self.talk.cancelled, entry.name) != Digest.parse(manifest.digest):
            raise DigestMismatch(
                f"the weights of {manifest.name} are damaged: they do not match their digest",
                hint=f"`nybble pull {manifest.name}` fetches them again, where they came from a hub",
            )
        return self._variant(entry, path, manifest.digest, manifest.name)

    def _made(self, entry: Entry, made: Made) -> Variant:
        """As a local model if it is to be kept, else in the folder, where a comparison that was killed may
        have left it."""
        source = made.source.manifest
        if self.order.request.keep_made:
            job = quantize.Request(source.name, made.label)
            manifest = quantize.quantize(self.store, job, self._emit, self.talk.cancelled)
            return self._variant(entry, self.store.check(manifest), manifest.digest, manifest.name)
        path = self.folder / f"{source.digest.removeprefix('sha256:')[:16]}-{made.label}.gguf"
        if not path.exists():
            partial = path.with_suffix(".partial")
            conversion = Conversion(self.store.check(source), made.source.header, partial, Recipe(made.label))
            conversion.run(progress.Throttle(self._emit), self.store.blobs.ensure_free, self.talk.cancelled)
            partial.replace(path)
        digest = hash_file(path, self._emit, self.talk.cancelled, entry.name)
        return self._variant(entry, path, str(digest), None)

    def _fetched(self, entry: Entry) -> Iterator[Variant]:
        """Through the daemon, which shows what is fetched; under its own name only if it is to be kept."""
        alias = None if self.order.request.keep_made else fetched.temporary_tag(self.folder, entry.tag)
        asyncio.run(self._pull(entry.tag, alias))
        try:
            yield self._local(entry, self.store.get(alias or entry.tag))
        finally:
            if alias:
                fetched.remove(self.order.daemon, alias)

    async def _pull(self, name: str, alias: str | None) -> None:
        async with Client(self.order.daemon) as client, aclosing(client.pull(name, alias)) as events:
            async for event in events:
                progress.check(self.talk.cancelled)
                if isinstance(event, wire.JobProgress):
                    self.talk.progress(event.phase, name, event.completed_bytes, event.total_bytes)

    def _variant(self, entry: Entry, path: Path, digest: str, tag: str | None) -> Variant:
        return Variant(entry.name, path, digest, path.stat().st_size, tag, entry.engine(self.engine))

    def _emit(self, update: Progress) -> None:
        self.talk.progress(update.phase, update.detail, update.completed_bytes, update.total_bytes)


@contextmanager
def own_folder(cache: Path, name: str) -> Iterator[Path]:
    """A folder for the files of the comparison `name`, which is there as long as it runs; what one that was
    killed has left there is found again, and what others have left is removed."""
    folder = cache / name
    in_use = FileLock(folder / _IN_USE, mode=0o600)
    make_folder(cache)
    # Without it one could remove the folder that another is about to use.
    changing = FileLock(cache / "folders.lock", mode=0o600)
    with changing:
        for other in cache.iterdir():
            if other.is_dir() and other != folder:
                _remove_unused(other)
        make_folder(folder)
        in_use.acquire()
    try:
        yield folder
    finally:
        in_use.release()
        with changing:
            _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    with contextlib.suppress(Timeout, OSError):
        with FileLock(folder / _IN_USE, blocking=False):
            pass
        shutil.rmtree(folder)
