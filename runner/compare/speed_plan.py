"""How speed is measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from runner.bench.plan import Test
from runner.compare.outlook import Work
from runner.wire.compare import Effort

_DEPTH_STEP = 512
_USUAL_WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class SpeedPlan:
    """Prefill of `prompt_tokens` and decode of `generate_tokens` behind each of `depths`, `repetitions` times
    once it is steady, which is given up after `most_warm_ups`. `loads` of each kind, `requests` through the
    daemon. A test of one variant takes about `most_s` seconds at most, but has two repetitions; for energy it
    may take `energy_s`, but has one window. When `budget_s` for each variant are over, depths are left out.

    `text` is what tokens are taken from; None takes random ones. `daemon` is the address of the daemon that
    serves models which have a tag; None leaves out what is measured through it. An answer is `answer_tokens`
    long until somebody counted.
    """

    prompt_tokens: int = 512
    generate_tokens: int = 128
    depths: tuple[int, ...] = (0, 4096, 16384)
    repetitions: int = 5
    most_warm_ups: int = 8
    loads: int = 4
    requests: int = 4
    most_s: float = 60.0
    energy_s: float = 60.0
    budget_s: float = 600.0
    text: str | None = None
    daemon: str | None = None
    answer_tokens: int = 256

    def tests(self, depth: int) -> tuple[Test, Test]:
        """Prefill and decode."""
        return Test(self.prompt_tokens, 0, depth), Test(0, self.generate_tokens, depth)

    @property
    def work(self) -> Work:
        """Of one variant, about, where its time is not up before. What stands in the context before a test is
        read once."""
        times = self.repetitions + _USUAL_WARM_UPS
        requests = (self.requests + self.loads) * self.prompt_tokens
        read = times * self.prompt_tokens * len(self.depths) + 2 * sum(self.depths) + requests
        return Work({"reading": read, "answering": times * self.generate_tokens * len(self.depths)})

    def within(self, context_length: int) -> SpeedPlan:
        """As much of it as a context of this length has room for: where depths must go, the deepest that is
        possible stands for them."""
        prompt_tokens = min(self.prompt_tokens, context_length)
        generate_tokens = min(self.generate_tokens, context_length)
        most = context_length - max(prompt_tokens, generate_tokens)
        depths = {depth for depth in self.depths if depth <= most}
        if len(depths) < len(self.depths):
            depths.add(most // _DEPTH_STEP * _DEPTH_STEP)
        return replace(
            self, prompt_tokens=prompt_tokens, generate_tokens=generate_tokens, depths=tuple(sorted(depths))
        )


QUICK = SpeedPlan(
    prompt_tokens=128,
    generate_tokens=16,
    depths=(0, 512),
    repetitions=4,
    most_warm_ups=3,
    loads=2,
    requests=2,
    most_s=10.0,
    energy_s=4.0,
    budget_s=10.0,
)
STANDARD = SpeedPlan(depths=(0, 4096))
DEEP = SpeedPlan(repetitions=10, loads=6, requests=6, most_s=300.0, budget_s=3600.0)
SPEED_PLANS: Mapping[Effort, SpeedPlan] = {"quick": QUICK, "standard": STANDARD, "deep": DEEP}


def there_and_back(count: int, rounds: int) -> list[list[int]]:
    """Who is measured when, a row for each round: 0 1 2, 2 1 0, 0 1 2, so that heat hits all alike."""
    there = list(range(count))
    return [there if number % 2 == 0 else there[::-1] for number in range(rounds)]


def slowdown(durations_s: Sequence[float]) -> float:
    """How much slower the second half was than the first, 0.1 for 10 %; 0 for fewer than four."""
    half = len(durations_s) // 2
    if half < 2:
        return 0.0
    return statistics.median(durations_s[-half:]) / statistics.median(durations_s[:half]) - 1
