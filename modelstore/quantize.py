"""Making another quantization of a local model."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from modelstore import catalog, names
from modelstore.blobs import open_regular
from modelstore.conversion import Conversion, Recipe
from modelstore.errors import Conflict, Unusable, UserError
from modelstore.gguf import read_header
from modelstore.gguf_types import FILE_TYPES, nominal_bits
from modelstore.header import Header
from modelstore.manifests import Manifest
from modelstore.progress import Emit, Throttle
from modelstore.store import Publication, Store

_LOSSY_BITS = 4
_FULL_BITS = 16
_FULL_TYPES = ("F32", "F16", "BF16")
_GIGABYTE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """Make `name` in `quantization` (any of llama.cpp's, in any case) and call it `alias`, or else by a name
    made of both. With `budget_bytes` and no quantization: in a mixture of that size. `force` accepts sources
    of 4 bits and below. `imatrix` is the path of an importance matrix; `prune_layers` are left out.
    """

    name: str
    quantization: str | None
    alias: str | None = None
    force: bool = False
    imatrix: Path | None = None
    prune_layers: tuple[int, ...] = ()
    budget_bytes: int | None = None


Make = Callable[[Conversion, Emit, Callable[[int], None], Event], None]
"""Writes the destination of a conversion; the second callable is told how many bytes are to come."""


def quantize(
    store: Store, request: Request, emit: Emit, cancelled: Event, make: Make = Conversion.run
) -> Manifest:
    """Publishes the result beside its source, which is never changed.

    Raises UserError, NotFound, Conflict, Unusable, StorageFull or Cancelled; nothing is left then.
    """
    label = _wanted(request)
    source = store.get(request.name)
    path = store.check(source)
    with open_regular(path) as stream:
        header = read_header(stream, source.size_bytes)
    kind = header.quantization or "unknown"
    if not request.force:
        refuse_lossy(source.name, kind, "a mixture" if request.budget_bytes else label)
    recipe = Recipe(label, request.imatrix, prune_layers=_pruned(request.prune_layers, header))
    publication = _publication(source, kind, recipe, request.alias)
    key = hashlib.sha256(f"{source.digest} {recipe}".encode()).hexdigest()[:32]
    with store.blobs.scratch(f"quantize-{key}", cancelled) as partial:
        conversion = Conversion(path, header, partial, recipe)
        make(conversion, Throttle(emit), store.blobs.ensure_free, cancelled)
        return store.publish(partial, None, publication, emit, cancelled)


def refuse_lossy(source: str, kind: str, label: str) -> None:
    """Raises Unusable if `source`, which is `kind`, has lost too much for another quantization to mean it."""
    if nominal_bits(kind) <= _LOSSY_BITS:
        raise Unusable(
            f"{source} is {kind} already: what it has lost does not come back in {label}",
            hint="Pull an F16, BF16 or Q8_0 file of it. `nybble compare user/repository` compares what a hub "
            "has; `nybble quantize --force` accepts the loss.",
        )


def _wanted(request: Request) -> str:
    """The label of what is made; for a budget, one that says how much."""
    if request.quantization is not None and request.budget_bytes is None:
        return _label(request.quantization)
    if request.budget_bytes is None or request.quantization is not None or request.prune_layers:
        raise UserError("give a quantization or a size to fit", hint="As Q4_K_M, or --fit 5.5GB.")
    is_large = request.budget_bytes >= _GIGABYTE
    size = f"{request.budget_bytes / (_GIGABYTE if is_large else 1_000_000):.3g}"
    return f"fit-{size}{'GB' if is_large else 'MB'}"


def _pruned(layers: tuple[int, ...], header: Header) -> tuple[int, ...]:
    """Ascending, as llama.cpp wants them."""
    count = header.block_count or 0
    ordered = tuple(sorted(set(layers)))
    if ordered and (ordered[0] < 0 or ordered[-1] >= count or len(ordered) >= count):
        raise UserError(
            f"layers {', '.join(map(str, ordered))} cannot be left out of {count}",
            hint=f"Layers are counted from 0 to {count - 1}, and one must stay.",
        )
    return ordered


def _publication(source: Manifest, kind: str, recipe: Recipe, alias: str | None) -> Publication:
    label = recipe.label
    target = names.parse_tag(alias) if alias else _default_tag(source.name, kind, recipe)
    name = catalog.canonical(target)
    if names.key(name) == names.key(source.name):
        raise Conflict(f"{source.name} would replace itself", hint="Give the result another name: --as.")
    derivation = _derivation(source.name, kind, recipe)
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


def _default_tag(source: str, kind: str, recipe: Recipe) -> names.TagName:
    """ "smollm2:135m-q8_0" for "smollm2:135m"; the source's own quantization leaves its tag."""
    ref = names.parse(source)
    label = recipe.label + "".join(f"-without{layer}" for layer in recipe.prune_layers)
    if isinstance(ref, names.HubName):
        return names.TagName(ref.repository, label.lower())
    name, _, tag = source.partition(":")
    stem = tag.lower().removesuffix(kind.lower()).rstrip("-")
    parts = [stem] if stem and stem != names.DEFAULT_TAG else []
    return names.TagName(name, "-".join([*parts, label.lower()]))


def _derivation(source: str, kind: str, recipe: Recipe) -> str:
    how = [kind]
    if nominal_bits(kind) < _FULL_BITS:
        how.append("dequantized" if recipe.label in _FULL_TYPES else "requantized")
    if recipe.imatrix:
        how.append("with an importance matrix")
    if recipe.prune_layers:
        how.append(f"without layers {', '.join(map(str, recipe.prune_layers))}")
    return f"{source} ({', '.join(how)})"
