"""Making another quantization of a local model. llama.cpp does it, in a child process that can be killed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from modelstore import catalog, names, progress
from modelstore.blobs import open_regular
from modelstore.child import Child, running
from modelstore.errors import Conflict, Unusable, UserError
from modelstore.gguf import Header, read_header
from modelstore.gguf_types import FILE_TYPES, nominal_bits
from modelstore.manifests import Manifest
from modelstore.progress import Emit, Progress, Throttle
from modelstore.store import Publication, Store

_LOSSY_BITS = 4
_FULL_BITS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """Make `name` in `quantization` (any of llama.cpp's, in any case) and call it `alias`, or else by a name
    made of both. `force` accepts sources of 4 bits and below."""

    name: str
    quantization: str
    alias: str | None = None
    force: bool = False


def quantize(store: Store, request: Request, emit: Emit, cancelled: Event) -> Manifest:
    """Publishes the result beside its source, which is never changed.

    Raises UserError, NotFound, Conflict, Unusable, StorageFull or Cancelled; nothing is left then.
    """
    label = _label(request.quantization)
    source = store.get(request.name)
    path = store.check(source)
    with open_regular(path) as stream:
        header = read_header(stream, source.size_bytes)
    kind = header.quantization or "unknown"
    if nominal_bits(kind) <= _LOSSY_BITS and not request.force:
        raise Unusable(
            f"{source.name} is {kind} already: what it has lost does not come back in {label}",
            hint="Quantize an F16, BF16 or Q8_0 version of the model, or accept the loss: --force.",
        )
    publication = _publication(source, kind, label, request.alias)
    key = f"quantize-{source.digest.removeprefix('sha256:')[:16]}-{label}"
    with store.blobs.exclusive(key, cancelled):
        partial = store.blobs.partial_path(key)
        try:
            _Conversion(store, header, path, partial, label, Throttle(emit)).run(cancelled)
            return store.publish(partial, None, publication, emit, cancelled)
        finally:
            partial.unlink(missing_ok=True)


def _publication(source: Manifest, kind: str, label: str, alias: str | None) -> Publication:
    target = names.parse_tag(alias) if alias else _default_tag(source.name, kind, label)
    name = catalog.canonical(target)
    if names.key(name) == names.key(source.name):
        raise Conflict(f"{source.name} would replace itself", hint="Give the result another name: --as.")
    derivation = _derivation(source.name, kind, label)
    return Publication(name, f"{target.name}-{label}.gguf", "quantized", source.license, derivation)


def _label(quantization: str) -> str:
    known = {label.upper(): label for label in FILE_TYPES.values()}
    label = known.get(quantization.upper())
    if label is None:
        similar = difflib.get_close_matches(quantization.upper(), known, n=3, cutoff=0.5)
        raise UserError(
            f"{quantization!r} is no quantization", hint=f"Known are {', '.join(similar or sorted(known))}."
        )
    return label


def _default_tag(source: str, kind: str, label: str) -> names.TagName:
    """ "smollm2:135m-q8_0" for "smollm2:135m"; the source's own quantization leaves its tag."""
    ref = names.parse(source)
    if isinstance(ref, names.HubName):
        return names.TagName(ref.repository, label.lower())
    name, _, tag = source.partition(":")
    stem = tag.lower().removesuffix(kind.lower()).rstrip("-")
    parts = [stem] if stem and stem != names.DEFAULT_TAG else []
    return names.TagName(name, "-".join([*parts, label.lower()]))


def _derivation(source: str, kind: str, label: str) -> str:
    if nominal_bits(kind) >= _FULL_BITS:
        return f"{source} ({kind})"
    how = "dequantized" if nominal_bits(label) >= _FULL_BITS else "requantized"
    return f"{source} ({kind}, {how})"


@dataclass(frozen=True, slots=True)
class _Conversion:
    """One run of the child."""

    store: Store
    header: Header
    source: Path
    destination: Path
    label: str
    emit: Emit

    def run(self, cancelled: Event) -> None:
        with running("native.quantize", cancelled) as child:
            child.send(self._job())
            if not self._follow(child):
                progress.check(cancelled)
                raise Unusable(f"Quantizing to {self.label} failed: {child.last_words()}")

    def _job(self) -> dict[str, object]:
        # All threads; requantizing is allowed, since whether it makes sense has been decided.
        paths = {"source": str(self.source), "destination": str(self.destination)}
        return {**paths, "type": self.label, "threads": 0, "allow_requantize": True}

    def _follow(self, child: Child) -> bool:
        """Passes the child's messages on; whether it said that it is done."""
        sizes = {tensor.name: tensor.size_bytes for tensor in self.header.tensors}
        done_bytes = 0
        self._report(self.label, done_bytes)
        for message in child.messages():
            if "planned_bytes" in message:
                self.store.blobs.ensure_free(message["planned_bytes"] + self.header.data_offset)
                child.send("go on")
            elif "tensor" in message:
                self._report(message["tensor"], done_bytes)
                done_bytes += sizes.get(message["tensor"], 0)
            elif "error" in message:
                raise self._refusal(message)
            else:
                self._report(self.label, self.header.weights_bytes)
                return True
        return False

    def _report(self, detail: str, done_bytes: int) -> None:
        self.emit(Progress("quantizing", detail, None, done_bytes, self.header.weights_bytes))

    def _refusal(self, message: dict[str, Any]) -> Unusable:
        if message["needs_imatrix"]:
            return Unusable(
                f"{self.label} needs an importance matrix, which nybble cannot make",
                hint="IQ4_XS, IQ4_NL, IQ3_S and the K types but Q2_K_S work without one.",
            )
        return Unusable(f"llama.cpp cannot quantize this model to {self.label}: {message['error']}")
