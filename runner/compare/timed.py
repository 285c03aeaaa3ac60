"""One variant loaded for timing, in a child of its own: `native.speed`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from math import inf
from threading import Event
from typing import Any

from modelstore import progress
from modelstore.child import Child, running
from modelstore.errors import Unusable
from runner.bench.plan import Test
from runner.compare.variant import Variant
from runner.errors import WorkerFailed
from runner.text import clean, clean_name


class TimedEngine:
    """The child. `loaded` is what it said after its first load. One thread uses it.

    Every method raises WorkerFailed if the child ends, and progress.Cancelled if that was asked for.
    """

    def __init__(self, child: Child, variant: Variant, cancelled: Event) -> None:
        self._child = child
        self._cancelled = cancelled
        self.variant = variant
        self.loaded: dict[str, Any] = {}

    @classmethod
    @contextlib.contextmanager
    def running(cls, variant: Variant, text: str | None, cancelled: Event) -> Iterator[TimedEngine]:
        """An engine that has loaded the variant and takes its tokens from `text`. Raises Unusable if the file
        cannot be loaded."""
        order = {**asdict(variant.engine), "path": str(variant.path), "text": text}
        with running("native.speed", cancelled) as child:
            engine = cls(child, variant, cancelled)
            try:
                engine.loaded = engine._ask(order)
            except WorkerFailed as error:
                raise Unusable(f"{clean_name(variant.name)} cannot be loaded: {error.message}") from error
            yield engine

    @property
    def devices(self) -> frozenset[str]:
        """ggml's names of what holds the weights."""
        return frozenset(each["device"] for each in self.loaded["buffers"] if each["kind"] == "model")

    @property
    def free_on_gpus_bytes(self) -> float:
        """What was free on the fullest GPU after the load; infinite if this model is on the CPU."""
        if self.devices <= {"CPU"}:
            return inf
        devices = self.loaded["hardware"]["devices"]
        return min((each["free_bytes"] or 0 for each in devices if each["kind"] == "gpu"), default=inf)

    def seconds(self, test: Test) -> float:
        return float(self._ask(asdict(test))["seconds"])

    def unload(self) -> None:
        self._ask({"do": "unload"})

    def load(self) -> float:
        """Seconds up to the first decode."""
        return float(self._ask({"do": "load"})["load_s"])

    def grown_bytes(self) -> int:
        """What the process takes more than before it loaded anything."""
        return int(self._ask({"do": "memory"})["grown_bytes"])

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        answer = self._child.ask(message)
        progress.check(self._cancelled)
        if error := answer.get("error"):
            raise WorkerFailed(clean(error))
        return answer
