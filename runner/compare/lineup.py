"""Variants reduced to what a decision needs: one figure on each axis, lower is better."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from runner.compare.clusters import Clusters, mean, normal_of
from runner.compare.plausible import IMPLAUSIBLE
from runner.compare.spread import duration
from runner.compare.survival import discordant, p_value
from runner.compare.tiers import upper
from runner.compare.vary import CONTEXT_LENGTH
from runner.compare.wish import Wish
from runner.readout.table import speed_of
from runner.wire.compare import ALL_TASKS, Estimate, Speed, VariantResult

Ruler = Literal["kld", "bits_per_byte"]

SIGNIFICANT_Z = 3.0
_SIGNIFICANT_P = 0.0027
"""The same for a test that has no z."""

_NOISE_FLOORS = 3
_LEAST_PAIRS = 3
_PROMPT_TOKENS = 2048
_ANSWER_TOKENS = 256
_LEAST_TIMING_ERROR = 0.01
_UNKNOWN_TIMING_ERROR = 0.05
"""Of the value: what repeated runs differ by at the least, and where they were not repeated."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`upper` is the end of the interval that promises least."""

    value: float
    error: float = 0.0
    upper: float = 0.0

    def is_better_than(self, other: Figure) -> bool:
        """Lower, and surely so."""
        return other.value - self.value > SIGNIFICANT_Z * math.hypot(self.error, other.error)


@dataclass(frozen=True, slots=True)
class Candidate:
    """`memory` is bytes by context length in tokens, empty if unknown. `loss` is on the lineup's ruler,
    `worst` that of the kind of text that suffers most, `time_s` and `joules` are of one answer, `decode_tps`
    and `ttft_s` are what the floors ask for; None where not measured. `right` are outcomes of tasks with
    known answers, `bits` those a byte of texts that are the same for all. `problem` says why the figures must
    not be used."""

    name: str
    size_bytes: int
    memory: Mapping[int, int]
    loss: Figure | None
    worst: Figure | None
    time_s: Figure | None
    joules: Figure | None
    decode_tps: float | None
    ttft_s: float | None
    problem: str | None
    right: tuple[bool, ...] = ()
    bits: tuple[float, ...] = ()

    def memory_bytes(self, context: int) -> int | None:
        """A straight line between the lengths that are known, and on beyond them: the KV cache grows
        evenly."""
        lengths = sorted(self.memory)
        if not lengths:
            return None
        if len(lengths) == 1:
            return self.memory[lengths[0]]
        above = min(max(bisect_left(lengths, context), 1), len(lengths) - 1)
        low, high = lengths[above - 1], lengths[above]
        slope = (self.memory[high] - self.memory[low]) / (high - low)
        return round(self.memory[low] + slope * (context - low))

    def footprint_bytes(self, context: int) -> int:
        """To rank by: the file's size where the memory is not known."""
        return self.memory_bytes(context) or self.size_bytes


@dataclass(frozen=True, slots=True)
class Lineup:
    """`ties` are pairs of names whose loss cannot be told apart."""

    candidates: tuple[Candidate, ...]
    ties: frozenset[frozenset[str]]
    ruler: Ruler

    def loses_less(self, one: Candidate, other: Candidate) -> bool:
        """Whether the loss of `one` is surely smaller. Across vocabularies tasks have a say beside bits per
        byte: where the two surely contradict each other, nothing is sure."""
        if one.loss is None or other.loss is None or frozenset((one.name, other.name)) in self.ties:
            return False
        if self.ruler == "kld":
            return one.loss.value < other.loss.value
        return _by_bits(one, other) - _by_bits(other, one) + _by_tasks(one.right, other.right) > 0


def lineup(
    variants: Sequence[VariantResult], ties: Sequence[Sequence[str]], wish: Wish, noise_floor: float = 0.0
) -> Lineup:
    """`ties` as `tie_groups` finds them; `noise_floor` in nats also ties what lies close to the reference."""
    ruler = _ruler(variants)
    candidates = tuple(_candidate(variant, wish, ruler) for variant in variants)
    tied = {frozenset(pair) for group in ties for pair in combinations(group, 2)}
    for one, other in combinations(candidates, 2):
        if one.loss and other.loss and abs(one.loss.value - other.loss.value) < _NOISE_FLOORS * noise_floor:
            tied.add(frozenset((one.name, other.name)))
    return Lineup(candidates, frozenset(tied), ruler)


def _ruler(variants: Sequence[VariantResult]) -> Ruler:
    """Bits per byte as soon as one was measured that has no KL divergence: a ruler must fit all."""
    measured = [each.quality for each in variants if each.quality is not None and not each.is_reference]
    return "bits_per_byte" if any(quality.kld_mean.value is None for quality in measured) else "kld"


def _candidate(variant: VariantResult, wish: Wish, ruler: Ruler) -> Candidate:
    decode_tps = speed_of(variant, "decode_tps")
    return Candidate(
        name=variant.name,
        size_bytes=variant.size_bytes,
        memory=_memory(variant, wish.context),
        loss=_loss(variant, ruler),
        worst=_worst(variant, wish, ruler),
        time_s=_time_s(variant.speed, decode_tps),
        joules=_timing(variant.energy.answer_joules) if variant.energy else None,
        decode_tps=decode_tps.value if decode_tps else None,
        ttft_s=_ttft_s(variant.speed) if variant.speed else None,
        problem=_problem(variant),
        right=tuple(variant.tasks[ALL_TASKS].outcomes) if ALL_TASKS in variant.tasks else (),
        bits=tuple(variant.quality.text_bits) if variant.quality else (),
    )


def _ttft_s(speed: Speed) -> float | None:
    """Behind _PROMPT_TOKENS. What a token takes grows evenly with how many are before it: that of the one in
    the middle, by the two tests nearest to an empty context."""
    known = [
        (at.depth + speed.prompt_tokens / 2, 1 / at.prefill_tps.value)
        for at in sorted(speed.depths, key=lambda at: at.depth)
        if at.prefill_tps.value
    ]
    if not known:
        return None
    (start, token_s), (end, later_s) = known[0], known[1 % len(known)]
    slope = (later_s - token_s) / (end - start) if end > start else 0.0
    return _PROMPT_TOKENS * (token_s + max(0.0, slope) * (_PROMPT_TOKENS / 2 - start))


def _by_bits(one: Candidate, other: Candidate) -> bool:
    """Whether `one` surely takes fewer bits for the same texts; where these differ, by both errors."""
    if len(one.bits) != len(other.bits) or len(one.bits) < _LEAST_PAIRS:
        return bool(one.loss and other.loss and one.loss.is_better_than(other.loss))
    more = mean(np.subtract(other.bits, one.bits), Clusters.of([1] * len(one.bits)))
    value, error = more.value or 0.0, more.error or 0.0
    return value > 0 and (not error or normal_of(value / error, len(one.bits) - 1) > SIGNIFICANT_Z)


def _by_tasks(one: Sequence[bool], other: Sequence[bool]) -> int:
    """1 if `one` surely has more answers right, -1 if `other` has; 0 if they were not asked the same."""
    if len(one) != len(other):
        return 0
    lost, gained = discordant(one, other)
    return (lost > gained) - (lost < gained) if p_value(lost, gained) < _SIGNIFICANT_P else 0


def _problem(variant: VariantResult) -> str | None:
    """What forbids its figures, or the reason why there are none."""
    is_measured = variant.is_reference or variant.quality is not None or variant.speed is not None
    forbidding = [each for each in variant.problems if each.startswith(IMPLAUSIBLE) or not is_measured]
    return forbidding[0] if forbidding else None


def _memory(variant: VariantResult, context: int) -> dict[int, int]:
    """Predicted, and what a real load took beyond that; empty if nothing is known. A variant with a context
    of its own takes the same in whatever context is wanted."""
    memory = variant.memory
    if memory is None:
        return {}
    surplus = max(0, (memory.measured_bytes or 0) - memory.total_bytes)
    others = {} if CONTEXT_LENGTH in variant.settings else memory.at_context
    return {length: size + surplus for length, size in {**others, context: memory.total_bytes}.items()}


def _loss(variant: VariantResult, ruler: Ruler) -> Figure | None:
    if variant.quality is None:
        return None
    if ruler == "bits_per_byte":
        return _figure(variant.quality.bits_per_byte)
    return Figure(0.0) if variant.is_reference else _figure(variant.quality.kld_mean)


def _worst(variant: VariantResult, wish: Wish, ruler: Ruler) -> Figure | None:
    """Of the kinds of text that count; if all do, of those that are surely worse than the rest, for of the
    others a few texts say little."""
    loss = _loss(variant, ruler)
    if loss is None or variant.is_reference or ruler == "bits_per_byte":
        return loss
    chosen = [
        domain.kld_mean
        for name, domain in variant.domains.items()
        if (name in wish.domains if wish.domains else domain.is_worse)
    ]
    figures = [figure for each in chosen if (figure := _figure(each))]
    everything = [] if figures and wish.domains else [loss]
    return max([*figures, *everything], key=lambda figure: figure.value)


def _figure(estimate: Estimate) -> Figure | None:
    if estimate.value is None:
        return None
    return Figure(estimate.value, estimate.error or 0.0, upper(estimate) or estimate.value)


def _time_s(speed: Speed | None, decode_tps: Estimate | None) -> Figure | None:
    """To a whole answer; from the speed of writing where that was not measured."""
    if speed is None:
        return None
    if speed.time_to_answer_s.value is None and decode_tps and decode_tps.value:
        return _timing(duration(_ANSWER_TOKENS, decode_tps))
    return _timing(speed.time_to_answer_s)


def _timing(estimate: Estimate) -> Figure | None:
    """With an error that a machine surely has."""
    if estimate.value is None:
        return None
    unknown = _UNKNOWN_TIMING_ERROR * estimate.value
    error = unknown if estimate.error is None else max(estimate.error, _LEAST_TIMING_ERROR * estimate.value)
    return Figure(estimate.value, error)
