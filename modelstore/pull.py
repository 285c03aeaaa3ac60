"""Getting a model: from its name to a verified file and, last, its manifest."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from threading import Event

from modelstore import catalog, names
from modelstore.errors import UserError
from modelstore.manifests import Manifest
from modelstore.progress import Emit, Progress
from modelstore.sources import local
from modelstore.store import Publication, Store


@dataclass(frozen=True, slots=True)
class PullOptions:
    """`hf_token` is only ever sent to `hf_endpoint`. `offline` refuses everything that needs a network."""

    hf_endpoint: str | None = None
    hf_token: str | None = None
    offline: bool = False
    python: str = sys.executable


def pull(
    store: Store, name: str, alias: str | None, options: PullOptions, emit: Emit, cancelled: Event
) -> Manifest:
    """Gets the model `name` (see `modelstore.names`) and calls it `alias`, or else by its own name.

    Raises InvalidName, NotFound, SourceUnavailable, InvalidModel, DigestMismatch, StorageFull or Cancelled;
    what was downloaded by then stays as a partial and is continued by the next call.
    """
    emit(Progress("resolving", detail=name))
    ref = names.parse(name)
    tag = catalog.canonical(names.parse_tag(alias)) if alias else None
    if isinstance(ref, names.LocalFile):
        return _import(store, ref, tag, emit, cancelled)
    raise UserError(f"Models cannot be pulled from the Ollama registry yet: {ref}")


def _import(store: Store, ref: names.LocalFile, tag: str | None, emit: Emit, cancelled: Event) -> Manifest:
    source = local.resolve(ref.path)
    tag = tag or catalog.canonical(names.from_file_name(source.name))
    key = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    with store.blobs.exclusive(f"import-{key}", cancelled):
        partial = store.blobs.partial_path(f"import-{key}")
        local.bring(source, partial, store.blobs, emit, cancelled)
        try:
            publication = Publication(tag, source.name, f"file: {source}")
            return store.publish(partial, None, publication, emit, cancelled)
        finally:
            partial.unlink(missing_ok=True)
