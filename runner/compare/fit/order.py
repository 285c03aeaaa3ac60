"""What the child is told to make, and how much it may measure for it: pure but for paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.compare.fit.matrices import CANDIDATES
from runner.compare.variant import Engine, Variant
from runner.wire.compare import Effort


@dataclass(frozen=True, slots=True)
class Plan:
    """`chunks` (of 512 tokens) of text for the importance matrix and probes, and as many again to decide on;
    `probe_blocks` of the first are what probes are scored on. Layers are probed in `parts` by depth; `rows`
    of each matrix are tried in each of `types`."""

    chunks: int
    probe_blocks: int
    parts: int
    rows: int
    types: tuple[str, ...] = CANDIDATES


_CONTEXT_TOKENS = 512
# Trying the types that search (IQ2, IQ3) costs most of the time.
_FAST_TYPES = tuple(kind for kind in CANDIDATES if not kind.startswith(("IQ2", "IQ3")))
PLANS: dict[Effort, Plan] = {
    "quick": Plan(chunks=16, probe_blocks=4, parts=1, rows=32, types=_FAST_TYPES),
    "standard": Plan(chunks=32, probe_blocks=12, parts=3, rows=64),
    "deep": Plan(chunks=128, probe_blocks=32, parts=3, rows=256),
}


@dataclass(frozen=True, slots=True)
class Order:
    """Write `destination`, made of `source`: a mixture of at most `budget_bytes`, or (None) `label` without
    `prune_layers`, measured. `work` is an empty folder on the same disk. `imatrix` is collected where there
    is none. `min_tps` is the least decode speed that is wanted."""

    source: Path
    digest: str
    destination: Path
    work: Path
    label: str
    effort: Effort
    threads: int
    gpu_layers: int
    imatrix: Path | None = None
    prune_layers: tuple[int, ...] = ()
    budget_bytes: int | None = None
    min_tps: float | None = None

    def variant(self, name: str, path: Path) -> Variant:
        """`path` as it is scored and timed. The digest of a file that is only tried stays empty."""
        engine = Engine(_CONTEXT_TOKENS, self.threads, self.gpu_layers)
        digest = self.digest if path == self.source else ""
        return Variant(name, path, digest, path.stat().st_size, None, engine)
