"""One JSON file for each tag: what the tag is called and which blob it means."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from modelstore import blobs, names
from modelstore.errors import NybbleError, Unusable
from modelstore.replacing import remove_file, replace_file

_SUFFIX = ".json"
_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """One tag. `name` is canonical; `digest` (`sha256:<hex>`) and `size_bytes` are those of the weights file;
    `file_name` is what the source called it, for people only."""

    name: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(ge=0)]
    file_name: str
    source: str
    modified_at: AwareDatetime
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    embedding_length: int | None = None
    license: str | None = None
    has_chat_template: bool = False
    derived_from: str | None = None
    schema: Literal[1] = 1


_JSON = TypeAdapter(Manifest)


class Manifests:
    """The flat folder of manifests. Names compare without case; damaged ones are reported, never deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        return self._folder / (quote(names.key(name), safe="") + _SUFFIX)

    def all(self) -> tuple[list[Manifest], list[str]]:
        """The readable ones, and what is wrong with each other."""
        readable, damaged = [], []
        # Not by glob: to that a folder that may not be read looks empty.
        paths = self._folder.iterdir() if self._folder.is_dir() else ()
        for path in (each for each in paths if each.name.endswith(_SUFFIX)):
            try:
                readable.append(_read(path))
            except NybbleError as error:
                damaged.append(error.message)
        return readable, damaged

    def get(self, name: str) -> Manifest | None:
        """The manifest of a canonical name; Unusable if it cannot be read."""
        path = self.path(name)
        return _read(path) if os.path.lexists(path) else None

    def put(self, manifest: Manifest) -> None:
        """Writes or replaces a tag: after a crash there is the old manifest or the new one."""
        target = self.path(manifest.name)
        temporary = target.with_suffix(".tmp")
        blobs.make_folder(self._folder)
        with blobs.storage_errors(target):
            temporary.unlink(missing_ok=True)
            temporary.touch(mode=0o600, exist_ok=False)
            temporary.write_bytes(_JSON.dump_json(manifest, indent=2) + b"\n")
            blobs.sync_file(temporary)
            replace_file(temporary, target)
            blobs.sync_folder(self._folder)

    def delete(self, name: str) -> None:
        target = self.path(name)
        with blobs.storage_errors(target):
            remove_file(target)
            blobs.sync_folder(self._folder)


def _read(path: Path) -> Manifest:
    with blobs.open_regular(path) as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise Unusable(f"{path} is larger than a manifest can be")
    try:
        manifest = _JSON.validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise Unusable(
            f"The manifest {path} cannot be read ({where}: {first['msg']})",
            hint="Pull the model again, or remove the file if the model is not needed.",
        ) from error
    if quote(names.key(manifest.name), safe="") + _SUFFIX != path.name:
        raise Unusable(f"The manifest {path} belongs to another model, {manifest.name!r}")
    return manifest
