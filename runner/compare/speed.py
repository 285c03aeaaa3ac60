"""Speed and energy of all variants, measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event

from runner.compare.speed_plan import SpeedPlan
from runner.compare.variant import Variant
from runner.wire.compare import CompareProgress, Energy, Speed

Report = Callable[[CompareProgress], None]


def measure_speed(
    variants: Sequence[Variant], plan: SpeedPlan, report: Report, cancelled: Event
) -> Iterator[tuple[Variant, Speed, Energy]]:
    """Raises Unusable for a file that cannot be loaded, WorkerFailed, and progress.Cancelled."""
    raise NotImplementedError
