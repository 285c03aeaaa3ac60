"""Models by the names that clients use: read from disk once, then kept until the store changes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

from modelstore.gguf import read_header
from modelstore.header import Header
from modelstore.manifests import Manifest
from modelstore.store import Store

_Value = TypeVar("_Value")

_HEADERS_KEPT = 16
_NAMES_KEPT = 256


class Lookup:
    """Keeps the disk and other threads out of the way of requests to models that were used before."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = store.revision
        self._manifests: dict[str, Manifest] = {}
        self._headers: dict[str, Header] = {}

    async def manifest(self, name: str) -> Manifest:
        """Raises NotFound, InvalidName, Unusable."""
        if self._revision != self._store.revision:
            self._revision = self._store.revision
            self._manifests.clear()
        manifest = self._manifests.get(name)
        if manifest is None:
            revision = self._revision
            manifest = await asyncio.to_thread(self._store.get, name)
            if revision == self._store.revision:
                _keep(self._manifests, name, manifest, _NAMES_KEPT)
        return manifest

    async def header(self, manifest: Manifest) -> Header:
        """The header of a model's file, without its long arrays. Raises Unusable."""
        header = self._headers.get(manifest.digest)
        if header is None:
            path = await asyncio.to_thread(self._store.check, manifest)
            header = await asyncio.to_thread(_read_header, path)
            _keep(self._headers, manifest.digest, header, _HEADERS_KEPT)
        return header


def _keep(kept: dict[str, _Value], key: str, value: _Value, limit: int) -> None:
    """The oldest entry makes room."""
    while len(kept) >= limit:
        del kept[next(iter(kept))]
    kept[key] = value


def _read_header(path: Path) -> Header:
    with path.open("rb") as stream:
        return read_header(stream, path.stat().st_size).without_long_arrays()
