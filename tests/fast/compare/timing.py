"""Small models and a short plan, to measure with the real child."""

from __future__ import annotations

from pathlib import Path

from runner.compare.speed_plan import SpeedPlan
from runner.compare.variant import Engine, Variant
from runner.wire.compare import Estimate

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
    return Variant(path.stem, path, f"sha256:{path.name}", size_bytes, "F16", None, Engine(**settings))  # type: ignore[arg-type]


def measured(estimate: Estimate) -> float:
    assert estimate.value is not None and estimate.value > 0, estimate.reason
    assert estimate.error is not None and estimate.low is not None and estimate.high is not None
    assert estimate.low <= estimate.value <= estimate.high
    return estimate.value
