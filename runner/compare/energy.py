"""Joules per token: from windows of work and windows of rest. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.compare import spread
from runner.wire.compare import Energy, Estimate


@dataclass(frozen=True, slots=True)
class Window:
    """What a sensor counted while so many tokens were computed. `seconds` are of the clock."""

    joules: float
    seconds: float
    tokens: int


@dataclass(slots=True)
class Metered:
    """All windows of one variant: of prompts and of generated tokens, and the watts that the machine took
    while it did nothing, before and after."""

    prompt: list[Window] = field(default_factory=list)
    generated: list[Window] = field(default_factory=list)
    idle_watts: list[float] = field(default_factory=list)


def not_measured(reason: str) -> Energy:
    return spread.blank(Energy, reason, reason=reason)


def energy(sensor: str, covers: str, metered: Metered) -> Energy:
    """Without `answer_joules`, which `runner.compare.answering` adds."""
    return Energy(
        sensor=sensor,
        covers=covers,
        prompt_joules_gross=_gross(metered.prompt),
        prompt_joules_net=_net(metered.prompt, metered.idle_watts),
        generated_joules_gross=_gross(metered.generated),
        generated_joules_net=_net(metered.generated, metered.idle_watts),
        answer_joules=Estimate(reason="the tokens of an answer are not known"),
    )


def _gross(windows: Sequence[Window]) -> Estimate:
    return spread.median([window.joules / window.tokens for window in windows])


def _net(windows: Sequence[Window], idle_watts: Sequence[float]) -> Estimate:
    """(E - P·t) / n with the mean idle power P; how far the idle windows are apart widens the error."""
    if not windows or not idle_watts:
        return Estimate(reason="not measured")
    idle = statistics.fmean(idle_watts)
    net = spread.median([(window.joules - idle * window.seconds) / window.tokens for window in windows])
    drift = (max(idle_watts) - min(idle_watts)) / 2
    seconds = statistics.median(window.seconds / window.tokens for window in windows)
    unsure = drift * seconds
    return spread.plus(net, Estimate(value=0.0, error=unsure, low=-2 * unsure, high=2 * unsure))
