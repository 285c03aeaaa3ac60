"""Files made of the source, and what they are worth: every other part of fitting asks here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from modelstore.child import running
from modelstore.conversion import Conversion, Recipe
from modelstore.errors import StorageFull, Unusable
from modelstore.header import Header
from modelstore.imatrix import Reading, collect
from modelstore.progress import Progress, check
from runner.compare.blocks import Block, CandidateScores
from runner.compare.fit.matrices import IMPORTANT_ONLY, NAMES, NUMBERS, Matrix
from runner.compare.fit.order import Order
from runner.compare.fit.passages import Passages, gather
from runner.compare.scoring import Scorer
from runner.compare.variant import header_of

Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Workshop:
    """`header` is that of the order's source, the reference of every measurement; `emit` tells how far it
    is."""

    order: Order
    header: Header
    emit: Emit
    cancelled: Event

    @property
    def _record(self) -> Path:
        return self.order.work / "reference.record"

    def say(
        self, phase: str, detail: str | None = None, completed: int | None = None, total: int | None = None
    ) -> None:
        self.emit(
            {"type": "progress", "phase": phase, "detail": detail, "completed": completed, "total": total}
        )

    # Text

    def passages(self, chunks: int) -> Passages:
        """Raises Unusable, TemplateFailed, WorkerFailed."""
        variant = self.order.variant("the source", self.order.source)
        with Scorer.running(variant, (), None, self.cancelled) as scorer:

            def report(done: int, wanted: int) -> None:
                self.say("writing answers to measure with", None, done, wanted)

            return gather(scorer, self.header, chunks, report)

    def record(self, blocks: Sequence[Block]) -> None:
        """What the source says of `blocks`, kept for all candidates."""
        variant = self.order.variant("the source", self.order.source)
        with Scorer.running(variant, (), self._record, self.cancelled) as scorer:
            for index, _ in enumerate(scorer.score_all(blocks), 1):
                self.say("reading as the source does", None, index, len(blocks))

    def scores(self, name: str, file: Path, blocks: Sequence[Block]) -> list[CandidateScores]:
        """Of recorded blocks. Raises Unusable for a file that does not load or gives no numbers."""
        variant = self.order.variant(name, file)
        with Scorer.running(None, (variant,), self._record, self.cancelled) as scorer:
            return [scored.candidates[0] for scored in scorer.score_all(blocks)]

    # Files

    def importance(self, blocks: Sequence[Block], datasets: tuple[str, ...]) -> Path:
        """The order's importance matrix, or one of these blocks."""
        if self.order.imatrix:
            return self.order.imatrix
        file = self.order.work / "imatrix.gguf"
        longest = max(len(each.tokens) for each in blocks)
        reading = Reading(
            datasets,
            chunks=[each.tokens for each in blocks],
            chunk_tokens=longest,
            threads=self.order.threads,
            gpu_layers=self.order.gpu_layers,
        )
        collect(self.order.source, reading, file, self._pass_on, self.cancelled)
        return file

    def types(self, recipe: Recipe) -> dict[str, str]:
        """What each tensor would become."""
        return self._conversion("plan", recipe).types(self.cancelled)

    def make(self, name: str, recipe: Recipe, source: Path | None = None) -> Path:
        """The file `name` in the work folder, of `source` (None: the order's)."""
        conversion = self._conversion(name, recipe, source)
        conversion.run(lambda _progress: None, self._ensure_free, self.cancelled)
        return conversion.destination

    def _conversion(self, name: str, recipe: Recipe, source: Path | None = None) -> Conversion:
        header = header_of(source) if source else self.header
        return Conversion(source or self.order.source, header, self.order.work / f"{name}.gguf", recipe)

    def _ensure_free(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self.order.work).free
        if needed_bytes > free_bytes:
            raise StorageFull(
                f"Needs {needed_bytes:,} bytes but only {free_bytes:,} are free in {self.order.work}",
                hint="Fitting keeps up to four files of the result's size while it works.",
            )

    def _pass_on(self, progress: Progress) -> None:
        self.say(progress.phase, progress.detail, progress.completed, progress.total)

    # Costs

    def errors(self, matrices: Sequence[Matrix], imatrix: Path, rows: int) -> dict[str, dict[str, float]]:
        """Relative error by matrix and type, from `native.roundtrip`. Raises Unusable."""
        wanted = {
            each.name: {"columns": each.tensor.shape[0], "types": [NUMBERS[kind] for kind in each.types]}
            for each in matrices
        }
        order = {
            "path": str(self.order.source),
            "imatrix": str(imatrix),
            "rows": rows,
            "tensors": wanted,
            "important_only": [NUMBERS[kind] for kind in IMPORTANT_ONLY],
        }
        found: dict[str, dict[str, float]] = {}
        with running("native.roundtrip", self.cancelled) as child:
            child.send(order)
            for message in child.messages():
                if "tensor" in message:
                    by_number = message["errors"].items()
                    found[message["tensor"]] = {NAMES[int(number)]: error for number, error in by_number}
                    self.say("trying types", message["tensor"], len(found), len(wanted))
                elif "error" in message:
                    raise Unusable(f"Types cannot be tried on this model: {message['error']}")
                else:
                    return found
            check(self.cancelled)
            raise Unusable(f"Trying types failed: {child.last_words()}")
