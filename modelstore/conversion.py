"""One file made of another by llama.cpp's quantizer, which runs in a child process that can be killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from modelstore import progress
from modelstore.blobs import check_room
from modelstore.child import Child, running
from modelstore.errors import Unusable
from modelstore.gguf_types import TENSOR_TYPES
from modelstore.header import Header
from modelstore.progress import Emit, Progress

_NUMBERS = {kind.name: number for number, kind in TENSOR_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make: `label` is one of llama.cpp's quantizations. `tensor_types` are pairs of a regular
    expression, searched in tensors' names, and a tensor type; the first that fits decides, and the label's
    own rules where none does. `prune_layers` are left out, ascending."""

    label: str
    imatrix: Path | None = None
    tensor_types: tuple[tuple[str, str], ...] = ()
    prune_layers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversion:
    """`header` is that of `source`."""

    source: Path
    header: Header
    destination: Path
    recipe: Recipe

    def types(self, cancelled: Event) -> dict[str, str]:
        """The tensor type that each tensor would get, without making anything. Raises Unusable."""
        with running("native.quantize", cancelled) as child:
            child.send(self._job())
            message = next(child.messages(), None)
            if message is None:
                raise self._ended(child, cancelled)
            if "error" in message:
                raise self._refusal(message)
        kept = {tensor.name: tensor.type for tensor in self.header.tensors}
        return kept | {name: kind.upper() for name, kind in message["types"].items()}

    def run(self, emit: Emit, ensure_free: Callable[[int], None], cancelled: Event) -> None:
        """Raises Unusable, StorageFull, Cancelled, and what `ensure_free` raises of the bytes to come."""
        with running("native.quantize", cancelled) as child:
            child.send(self._job())
            if not self._follow(child, emit, ensure_free):
                raise self._ended(child, cancelled)

    def _job(self) -> dict[str, object]:
        # All threads; requantizing is allowed, since whether it makes sense has been decided.
        recipe = self.recipe
        return {
            "source": str(self.source),
            "destination": str(self.destination),
            "type": recipe.label,
            "threads": 0,
            "allow_requantize": True,
            "imatrix": str(recipe.imatrix) if recipe.imatrix else None,
            "tensor_types": [(pattern, _NUMBERS[kind]) for pattern, kind in recipe.tensor_types],
            "prune_layers": list(recipe.prune_layers),
        }

    def _follow(self, child: Child, emit: Emit, ensure_free: Callable[[int], None]) -> bool:
        """Passes the child's messages on; whether it said that it is done."""
        sizes = {tensor.name: tensor.size_bytes for tensor in self.header.tensors}
        done_bytes = 0

        def report(detail: str) -> None:
            emit(Progress("quantizing", detail, None, done_bytes, self.header.weights_bytes))

        report(self.recipe.label)
        for message in child.messages():
            if "planned_bytes" in message:
                ensure_free(message["planned_bytes"] + self.header.data_offset)
                child.send("go on")
            elif "tensor" in message:
                report(message["tensor"])
                done_bytes += sizes.get(message["tensor"], 0)
            elif "error" in message:
                check_room(self.destination)
                raise self._refusal(message)
            else:
                done_bytes = self.header.weights_bytes
                report(self.recipe.label)
                return True
        return False

    def _ended(self, child: Child, cancelled: Event) -> Unusable:
        progress.check(cancelled)
        return Unusable(f"Quantizing to {self.recipe.label} failed: {child.last_words()}")

    def _refusal(self, message: dict[str, Any]) -> Unusable:
        if message["needs_imatrix"]:
            return Unusable(
                f"{self.recipe.label} needs an importance matrix",
                hint="Let nybble collect one: --imatrix auto. IQ4_XS, IQ4_NL, IQ3_S and the K types but "
                "Q2_K_S work without.",
            )
        return Unusable(f"llama.cpp cannot quantize this model to {self.recipe.label}: {message['error']}")
