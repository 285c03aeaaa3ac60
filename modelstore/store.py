"""The models on this machine: listing, looking up, checking, naming, publishing and removing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from filelock import FileLock

from modelstore import blobs, catalog, names
from modelstore.blobs import Blobs, Digest
from modelstore.errors import DigestMismatch, NotFound, Unusable
from modelstore.gguf import read_header
from modelstore.manifests import Manifest, Manifests
from modelstore.progress import Emit, Progress

_ORPHAN_AGE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Publication:
    """What a manifest says that its weights file does not. `license` None: what the file's header says."""

    name: str
    file_name: str
    source: str
    license: str | None = None
    derived_from: str | None = None


class Store:
    """All models under `root`; nothing is created before something is written.

    Changes to tags are serialized among threads and processes, so that no blob is removed while a tag for it
    is being written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root)
        self._manifests = Manifests(root / "manifests")
        self.revision = 0
        """Changes with every tag that this object writes or removes."""

    def models(self) -> list[Manifest]:
        """All readable tags, newest first."""
        return sorted(self._manifests.all()[0], key=lambda each: each.modified_at, reverse=True)

    def damaged(self) -> list[str]:
        """Of each manifest that cannot be read its path, and why. They stay until the user removes them, and
        so do all blobs."""
        return self._manifests.all()[1]

    def get(self, name: str) -> Manifest:
        """The tag that `name` means: aliases, a missing tag and any case are accepted.

        Raises NotFound with the closest names, InvalidName, or Unusable if the manifest cannot be read.
        """
        ref = names.parse(name)
        found = None
        if isinstance(ref, names.TagName):
            found = self._manifests.get(catalog.canonical(ref))
        elif isinstance(ref, names.HubName):
            found = self._manifests.get(str(ref)) if ref.tag else self._of_repository(ref)
        if found is None:
            raise self.not_found(name)
        return found

    def blob_path(self, digest: str) -> Path:
        return self.blobs.path(Digest.parse(digest))

    def check(self, manifest: Manifest) -> Path:
        """Path of the weights. Unusable if the file is missing, has another size or is no regular file."""
        path = self.blob_path(manifest.digest)
        size_bytes = blobs.regular_size_bytes(path)
        if size_bytes == manifest.size_bytes:
            return path
        found = (
            "is missing" if size_bytes is None else f"has {size_bytes} bytes instead of {manifest.size_bytes}"
        )
        raise Unusable(
            f"The weights of {manifest.name!r} are damaged: their file {found}", hint=_repair(manifest)
        )

    def remove(self, name: str) -> int:
        """Removes a tag, and its weights unless another tag uses them; those that somebody holds stay for a
        later sweep. Returns the bytes freed."""
        with self._changing():
            manifest = self.get(name)
            self._manifests.delete(manifest.name)
            self.revision += 1
            return self._collect([manifest.digest])

    def sweep(self, age_s: float = _ORPHAN_AGE_S) -> int:
        """Removes weights that no tag names: a crash between file and manifest leaves them. Returns the bytes
        freed.

        Those that a job holds stay, and those that were touched less than `age_s` ago. All of them stay while
        a manifest is unreadable, or none is there: a folder of manifests may be lost, too.
        """
        if not self.root.is_dir():
            return 0
        with self._changing():
            return self._collect(map(str, self.blobs.older_than(age_s))) if self.models() else 0

    def copy(self, source: str, destination: str) -> Manifest:
        """A second tag for the same weights; an existing destination is replaced."""
        name = catalog.canonical(names.parse_tag(destination))
        with self._changing():
            manifest = dataclasses.replace(self.get(source), name=name, modified_at=datetime.now(UTC))
            return self._write(manifest)

    def verify(self, name: str, emit: Emit, cancelled: Event) -> Manifest:
        """Reads all the bytes of a model again. DigestMismatch if they are not what was published."""
        manifest = self.get(name)
        path = self.check(manifest)
        if blobs.hash_file(path, emit, cancelled) != Digest.parse(manifest.digest):
            raise DigestMismatch(
                f"The weights of {manifest.name!r} are damaged: their file does not match its digest",
                hint=_repair(manifest),
            )
        return manifest

    def has_intact(self, digest: Digest, size_bytes: int, emit: Emit, cancelled: Event) -> bool:
        """Whether the weights are here, by size and by reading them again."""
        path = self.blobs.path(digest)
        try:
            is_right_size = blobs.regular_size_bytes(path) == size_bytes
        except Unusable:
            return False
        return is_right_size and blobs.hash_file(path, emit, cancelled) == digest

    def publish(
        self, file: Path, digest: Digest | None, publication: Publication, emit: Emit, cancelled: Event
    ) -> Manifest:
        """Makes `file`, which must lie on the store's disk, the model `publication.name`; the file is moved.

        `digest` is what the file has been verified to have, and what is not here yet; None: it is computed.
        The manifest comes last. Raises InvalidModel if the file is not a usable GGUF; it then stays in place.
        """
        manifest = _describe(file, publication)
        if digest is None:
            digest = blobs.hash_file(file, emit, cancelled)
            # Held, so that no sweep removes what is here before it has a tag.
            with self.blobs.exclusive(digest.hex, cancelled):
                if self.has_intact(digest, manifest.size_bytes, emit, cancelled):
                    file.unlink()
                    return self.tag(digest, publication, emit)
        with self._changing():
            self.blobs.publish(file, digest)
            return self._write(dataclasses.replace(manifest, digest=str(digest)), emit)

    def tag(self, digest: Digest, publication: Publication, emit: Emit) -> Manifest:
        """Names weights that are here already. Raises NotFound if they have gone in the meantime."""
        with self._changing():
            manifest = _describe(self.blobs.path(digest), publication)
            return self._write(dataclasses.replace(manifest, digest=str(digest)), emit)

    def _write(self, manifest: Manifest, emit: Emit | None = None) -> Manifest:
        if emit:
            emit(Progress("writing manifest", detail=manifest.name, digest=manifest.digest))
        replaced = [each.digest for each in self.models() if names.key(each.name) == names.key(manifest.name)]
        self._manifests.put(manifest)
        self.revision += 1
        self._collect(replaced)
        return manifest

    def _collect(self, candidates: Iterable[str]) -> int:
        """Deletes those that no tag uses: none while a manifest is unreadable, which might use them."""
        manifests, damaged = self._manifests.all()
        unused = set() if damaged else set(candidates) - {manifest.digest for manifest in manifests}
        return sum(self.blobs.delete(Digest.parse(each)) for each in unused)

    def _changing(self) -> FileLock:
        blobs.make_folder(self.root)
        return FileLock(self.root / "store.lock", mode=0o600)

    def _of_repository(self, ref: names.HubName) -> Manifest | None:
        """The tag that a hub name without one means: as in a pull, the preferred one of those here."""
        prefix = names.key(f"{ref}:")
        tags = [each for each in self.models() if names.key(each.name).startswith(prefix)]
        here = {each.name.rpartition(":")[2].upper(): each for each in tags}
        preferred = (here[label] for label in names.PREFERRED_QUANTIZATIONS if label in here)
        return next(preferred, next(iter(here.values()), None))

    def not_found(self, name: str) -> NotFound:
        """The error for a model that is not here, with the closest names."""
        similar = catalog.closest(name, (each.name for each in self.models()))
        hint = "`nybble list` has what is here. A hub repository has a slash: user/repository:Q4_K_M."
        if entry := catalog.find(name):
            hint = f"Fetch it: nybble pull {entry.name}"
        elif similar:
            hint = f"Did you mean {', '.join(similar)}?"
        return NotFound(f"model {name!r} not found", hint=hint)


def _describe(file: Path, publication: Publication) -> Manifest:
    """The manifest of `file`, without its digest. InvalidModel if the file is no usable GGUF."""
    with blobs.open_regular(file) as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        header = read_header(stream, size_bytes)
    return Manifest(
        name=publication.name,
        digest="",
        size_bytes=size_bytes,
        file_name=publication.file_name,
        source=publication.source,
        modified_at=datetime.now(UTC),
        architecture=header.architecture or None,
        parameter_count=header.parameter_count,
        quantization=header.quantization,
        context_length=header.context_length,
        embedding_length=header.embedding_length,
        license=publication.license or header.license,
        has_chat_template=header.chat_template is not None,
        derived_from=publication.derived_from,
    )


def _repair(manifest: Manifest) -> str:
    if manifest.name.startswith("hf.co/") or catalog.find(manifest.name):
        return f"Fetch it again: nybble pull {manifest.name}"
    return f"Make it again (it came from {manifest.source}), or remove it: nybble rm {manifest.name}"
