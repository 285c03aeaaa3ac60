"""Quantizations and importance matrices as the daemon makes them: jobs of the store, some of them measured in
a child of their own. Nothing of `runner.compare` is loaded before somebody asks."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelstore import quantize as quantizing
from modelstore.blobs import scratch_folder
from modelstore.conversion import Conversion
from modelstore.errors import UserError
from modelstore.imatrix import Collected, Reading, collect
from modelstore.manifests import Manifest
from modelstore.progress import Emit, Progress
from modelstore.store import Store
from runner import wire
from runner.jobs import Jobs, StoreJob, store_job
from runner.listing import info
from runner.measuring import Message, measured
from runner.paths import Paths
from runner.settings import Settings

_AUTO = "auto"


class Makings:
    def __init__(self, store: Store, paths: Paths, settings: Settings, jobs: Jobs) -> None:
        self.store, self.settings = store, settings
        self._paths, self._jobs = paths, jobs

    def quantize(self, request: wire.QuantizeRequest) -> StoreJob:
        def run(emit: Emit, cancelled: threading.Event) -> wire.JobDone:
            return _Quantizing(self, request, emit, cancelled).run()

        return store_job(self._jobs, f"quantize {request.model_dump_json()}", run)

    def imatrix(self, request: wire.ImatrixRequest) -> StoreJob:
        def run(emit: Emit, cancelled: threading.Event) -> wire.JobDone:
            manifest = self.store.get(request.name)
            made = self.collected(manifest, request.text, request.chunks, emit, cancelled)
            notes = [f"{made.tensors} matrices in {made.chunks} chunks of text"]
            return wire.JobDone(model=info(manifest), file=str(made.file), notes=notes)

        return store_job(self._jobs, f"imatrix {request.model_dump_json()}", run)

    def collected(
        self, manifest: Manifest, text: str | None, chunks: int, emit: Emit, cancelled: threading.Event
    ) -> Collected:
        """An importance matrix in the cache, of a text or (None) of those that come with nybble."""
        from runner.compare.corpus import DATASET, calibration_text

        read = calibration_text() if text is None else text
        digest = hashlib.sha256(f"{manifest.digest} {chunks} {read}".encode("utf-8", "replace")).hexdigest()
        file = self._paths.cache / "imatrix" / f"{digest[:32]}.gguf"
        dataset = DATASET if text is None else "own text"
        reading = Reading(
            (dataset,),
            read,
            most_chunks=chunks,
            threads=self.settings.compute_threads,
            gpu_layers=self.settings.of(manifest.name).most_gpu_layers,
        )
        return collect(self.store.check(manifest), reading, file, emit, cancelled)


@dataclass
class _Quantizing:
    """One job."""

    makings: Makings
    request: wire.QuantizeRequest
    emit: Emit
    cancelled: threading.Event
    _notes: list[str] = field(default_factory=list, init=False)
    _recipe: dict[str, Any] | None = field(default=None, init=False)

    def run(self) -> wire.JobDone:
        request, store = self.request, self.makings.store
        job = quantizing.Request(
            request.name,
            request.quantization,
            request.alias,
            request.force,
            self._imatrix(),
            tuple(request.prune_layers),
            request.budget_bytes,
        )
        is_measured = request.budget_bytes is not None or request.prune_layers
        make = self._measured if is_measured else Conversion.run
        manifest = quantizing.quantize(store, job, self.emit, self.cancelled, make)
        return wire.JobDone(model=info(manifest), file=self._kept_recipe(manifest), notes=self._notes)

    def _imatrix(self) -> Path | None:
        """The file that was given, or one that is collected now; what fits a budget collects its own."""
        given, is_fitted = self.request.imatrix, self.request.budget_bytes is not None
        if given is None or (given == _AUTO and is_fitted):
            return None
        if given == _AUTO:
            manifest = self.makings.store.get(self.request.name)
            return self.makings.collected(manifest, None, 64, self.emit, self.cancelled).file
        if not Path(given).is_file():
            raise UserError(f"there is no importance matrix {given}", hint="Give a file, or auto.")
        return Path(given)

    def _measured(
        self,
        conversion: Conversion,
        emit: Emit,
        ensure_free: Callable[[int], None],
        cancelled: threading.Event,
    ) -> None:
        """By a child, which makes several files and measures them."""
        source = self.makings.store.get(self.request.name)
        work = conversion.destination.with_suffix(".work")
        recipe = conversion.recipe
        order = {
            "source": str(conversion.source),
            "digest": source.digest,
            "destination": str(conversion.destination),
            "work": str(work),
            "label": recipe.label,
            "effort": self.request.effort,
            "threads": self.makings.settings.compute_threads,
            "gpu_layers": self.makings.settings.of(source.name).most_gpu_layers,
            "imatrix": str(recipe.imatrix) if recipe.imatrix else None,
            "prune_layers": recipe.prune_layers,
            "budget_bytes": self.request.budget_bytes,
            "min_tps": self.request.min_tps,
        }
        with scratch_folder(work):
            ensure_free(self.request.budget_bytes or source.size_bytes)
            done = measured("runner.compare.fit", order, lambda message: emit(_progress(message)), cancelled)
        self._notes, self._recipe = done["notes"], done["recipe"]

    def _kept_recipe(self, manifest: Manifest) -> str | None:
        if self._recipe is None:
            return None
        folder = self.makings.store.root / "recipes"
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / f"{manifest.digest.removeprefix('sha256:')[:32]}.json"
        text = json.dumps({"model": manifest.name, **self._recipe}, indent=1)
        file.write_text(f"{text}\n", encoding="utf-8")
        return str(file)


def _progress(message: Message) -> Progress:
    del message["type"]
    return Progress(**message)
