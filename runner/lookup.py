"""Models by the names that clients use: read from disk once, then kept until the store changes."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from modelstore.gguf import read_header
from modelstore.header import Header
from modelstore.manifests import Manifest
from modelstore.store import Store

_Value = TypeVar("_Value")

_HEADERS_KEPT = 16
_NAMES_KEPT = 256


class Lookup:
    """Keeps the disk and other threads out of the way of requests to models that were used before. Those that
    come while one is read wait in order, so that they are served in it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = store.revision
        self._manifests: dict[str, Manifest] = {}
        self._headers: dict[str, Header] = {}
        self._reading = asyncio.Lock()

    async def manifest(self, name: str) -> Manifest:
        """Raises NotFound, InvalidName, Unusable."""
        if self._revision != self._store.revision:
            self._revision = self._store.revision
            self._manifests.clear()
        if known := self._manifests.get(name):
            return known
        async with self._reading:
            revision = self._revision
            if (manifest := self._manifests.get(name)) is None:
                manifest = await asyncio.to_thread(self._store.get, name)
            if revision == self._store.revision:
                _keep(self._manifests, name, manifest, _NAMES_KEPT)
        return manifest

    async def header(self, manifest: Manifest) -> Header:
        """The header of a model's file, without its long arrays. Raises Unusable."""
        if known := self._headers.get(manifest.digest):
            return known
        async with self._reading:
            if (header := self._headers.get(manifest.digest)) is None:
                header = await asyncio.to_thread(self._read, manifest)
            _keep(self._headers, manifest.digest, header, _HEADERS_KEPT)
        return header

    def _read(self, manifest: Manifest) -> Header:
        with self._store.check(manifest).open("rb") as stream:
            return read_header(stream, manifest.size_bytes).without_long_arrays()


def _keep(kept: dict[str, _Value], key: str, value: _Value, limit: int) -> None:
    """The oldest entry makes room."""
    while len(kept) >= limit:
        del kept[next(iter(kept))]
    kept[key] = value
