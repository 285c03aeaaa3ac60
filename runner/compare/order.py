"""What the daemon orders from the conductor, and how that talks back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from runner.compare.variant import Engine
from runner.instance import measurements_folder
from runner.wire.compare import CompareEvent, CompareProgress, CompareRequest

Say = Callable[[CompareEvent], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """The daemon's, as far as they decide how models are run. None: nybble decides."""

    threads: int
    memory_budget_bytes: int | None
    gpu_layers: int | None
    kv_type_k: str
    kv_type_v: str
    flash_attention: bool | None
    hf_endpoint: str | None
    hf_token: str | None = field(repr=False)
    offline: bool

    def engine(self, context_length: int, has_gpu: bool) -> Engine:
        return Engine(
            context_length=context_length,
            threads=self.threads,
            gpu_layers=(-1 if self.gpu_layers is None else self.gpu_layers) if has_gpu else 0,
            kv_type_k=self.kv_type_k,
            kv_type_v=self.kv_type_v,
            flash_attention=self.flash_attention,
        )


@dataclass(frozen=True, slots=True)
class Order:
    """`daemon` is its address; `cache` the daemon's folder for what can be made again."""

    request: CompareRequest
    store: Path
    evidence: Path
    cache: Path
    daemon: str
    settings: Settings

    @property
    def workshops(self) -> Path:
        """Where each comparison has a folder for the files that it makes."""
        return self.cache / "compare"

    @property
    def measurements(self) -> Path:
        """What workers measured."""
        return measurements_folder(self.cache)


@dataclass(frozen=True, slots=True)
class Talk:
    """`say` sends an event; everything stops once `cancelled` is set."""

    say: Say
    cancelled: Event

    def progress(
        self,
        phase: str,
        detail: str | None = None,
        completed: int | None = None,
        total: int | None = None,
        remaining_s: float | None = None,
    ) -> None:
        self.say(
            CompareProgress(
                phase=phase, detail=detail, completed=completed, total=total, remaining_s=remaining_s
            )
        )
