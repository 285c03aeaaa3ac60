"""The figures of one variant in the order of tables: one list for all formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.compare.export.words import unit
from runner.compare.vary import CONTEXT_LENGTH
from runner.readout.table import memory_bytes, speed_of
from runner.wire.compare import ALL_TASKS, Comparison, Estimate, Memory, VariantResult

_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is stable and names the stored unit; people see `title` and the figure times `scale`. What is
    measured against the reference `is_relative`."""

    key: str
    title: str
    figure: Callable[[VariantResult], Estimate | None]
    scale: float = 1.0
    is_relative: bool = False

    def shown(self, variant: VariantResult) -> Estimate | None:
        """For people: the reference is not compared with itself."""
        return None if self.is_relative and variant.is_reference else self.figure(variant)


def columns(comparison: Comparison) -> Sequence[Column]:
    """All of them."""
    in_unit = unit(comparison)
    scale = 1 / in_unit.scale
    return (
        Column("size_bytes", f"file, {in_unit.name}", lambda each: Estimate(value=each.size_bytes), scale),
        Column("bits_per_weight", "bits per weight", lambda each: Estimate(value=each.bits_per_weight)),
        Column("memory_bytes", f"memory, {in_unit.name}", _memory, scale),
        Column("memory_predicted_bytes", f"memory predicted, {in_unit.name}", _predicted, scale),
        *_OTHERS,
    )


def main_columns(comparison: Comparison) -> Sequence[Column]:
    """What decides, for tables that people read, the most important first; without those that are empty."""
    by_key = {column.key: column for column in columns(comparison)}
    chosen = [by_key[key] for key in _MAIN]
    return [column for column in chosen if any(map(is_known, map(column.shown, comparison.variants)))]


def is_known(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value is not None


_MAIN = (
    "memory_bytes", "kld_mean", "decode_tps", "same_top", "prefill_tps", "server_ttft_s", "answer_joules",
    "hard_flips", "kld_p99", "ppl", "size_bytes",
)  # fmt: skip


def memory_parts(of: Memory, tokens: int | None) -> tuple[int, int, int]:
    """Bytes of weights, KV cache and compute with so many tokens; None: with what the variant is run with."""
    total, compute = of.total_bytes, of.compute_bytes or 0
    if tokens is not None:
        total, compute = of.at_context.get(tokens, total), of.compute_at_context.get(tokens, compute)
    return of.weights_bytes, max(0, total - of.weights_bytes - compute), compute


def contexts(comparison: Comparison) -> list[int | None]:
    """In tokens, ascending: those for which the memory of every variant was predicted; the comparison's own
    where there is no other, since the model is made for less. None is each variant's own, where they differ
    in it."""
    if any(CONTEXT_LENGTH in each.settings for each in comparison.variants):
        return [None]
    known = [set(each.memory.at_context) for each in comparison.variants if each.memory]
    return [*(sorted(set.intersection(*known)) or [comparison.context])] if known else []


def _memory(variant: VariantResult) -> Estimate | None:
    """Measured, else predicted, at the comparison's context."""
    if variant.memory is None:
        return None
    return Estimate(value=memory_bytes(variant), reason=variant.memory.reason)


def _predicted(variant: VariantResult) -> Estimate | None:
    return None if variant.memory is None else Estimate(value=variant.memory.total_bytes)


def _of(part: str, key: str, title: str, scale: float = 1.0) -> Column:
    """The figure of that name in one part of a variant."""
    return Column(key, title, lambda each: getattr(getattr(each, part), key, None), scale)


def _loss(key: str, title: str, scale: float = 1.0) -> Column:
    """A figure of quality that the reference has by definition."""
    return Column(key, title, lambda each: getattr(each.quality, key, None), scale, is_relative=True)


def _tasks_right(variant: VariantResult) -> Estimate | None:
    return variant.tasks[ALL_TASKS].right if ALL_TASKS in variant.tasks else None


_OTHERS = (
    Column("load_s", "load, s", lambda each: each.load_s),
    _of("speed", "load_cold_s", "cold load, s"),
    Column("prefill_tps", "prefill, tok/s", lambda each: speed_of(each, "prefill_tps")),
    Column("decode_tps", "decode, tok/s", lambda each: speed_of(each, "decode_tps")),
    _of("speed", "server_ttft_s", "first token, s"),
    _of("speed", "client_ttft_s", "first token over HTTP, s"),
    _of("speed", "cold_ttft_s", "first token with load, s"),
    _of("speed", "time_to_answer_s", "answer, s"),
    _of("answers", "token_ratio", "tokens used, × reference"),
    _of("speed", "speed_up", "speed-up of answers"),
    _of("energy", "prompt_joules_gross", "J/prompt token"),
    _of("energy", "prompt_joules_net", "J/prompt token, net"),
    _of("energy", "generated_joules_gross", "J/generated token"),
    _of("energy", "generated_joules_net", "J/generated token, net"),
    _of("energy", "answer_joules", "J/answer"),
    _of("quality", "ppl", "perplexity"),
    _loss("ln_ratio", "ln ratio of perplexity"),
    _loss("kld_mean", "KLD, nats"),
    _loss("kld_median", "KLD median"),
    _loss("kld_p90", "KLD p90"),
    _loss("kld_p99", "KLD p99"),
    _loss("kld_p999", "KLD p99.9"),
    _loss("delta_p_mean", "Δp, %", _PERCENT),
    _loss("delta_p_rms", "RMS Δp, %", _PERCENT),
    _loss("same_top", "same top, %", _PERCENT),
    _loss("hard_flips", "hard flips, %", _PERCENT),
    _loss("temperature", "as temperature"),
    _of("quality", "bits_per_byte", "bits per byte"),
    Column("tasks_right", "tasks right, %", _tasks_right, _PERCENT),
)
