"""Small models and a short plan, to measure with the real child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelstore.errors import NybbleError
from runner.compare.speed import Listener
from runner.compare.speed_plan import SpeedPlan
from runner.compare.variant import Engine, Variant
from runner.wire.compare import CompareProgress, Estimate

PLAN = SpeedPlan(
    prompt_tokens=32,
    generate_tokens=8,
    depths=(0, 64),
    repetitions=3,
    most_warm_ups=2,
    loads=2,
    energy_s=0,
    text="The quick brown fox jumps over the lazy dog.",
)


def variant(path: Path, **engine: object) -> Variant:
    settings = {"context_length": 512, "threads": 1, "gpu_layers": 0} | engine
    size_bytes = path.stat().st_size
    return Variant(path.stem, path, f"sha256:{path.name}", size_bytes, None, Engine(**settings))  # type: ignore[arg-type]


def listener(report: Callable[[CompareProgress], None] = lambda _: None) -> Listener:
    """Of what must not fail."""

    def refused(_: Variant, error: NybbleError) -> None:
        raise error

    return Listener(report, refused)


def measured(estimate: Estimate) -> float:
    assert estimate.value is not None and estimate.value > 0, estimate.reason
    assert estimate.error is not None and estimate.low is not None and estimate.high is not None
    assert estimate.low <= estimate.value <= estimate.high
    return estimate.value
