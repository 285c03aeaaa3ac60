"""The figures of one variant in the order of tables: one list for all formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.compare.export.words import unit
from runner.readout.table import memory_bytes
from runner.wire.compare import ALL_TASKS, Comparison, Estimate, Memory, SpeedAt, VariantResult

_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is stable and names the stored unit; people see `title` and the figure times `scale`."""

    key: str
    title: str
    figure: Callable[[VariantResult], Estimate | None]
    scale: float = 1.0


def at_depth_zero(variant: VariantResult) -> SpeedAt | None:
    return min(variant.speed.depths, key=lambda at: at.depth, default=None) if variant.speed else None


def columns(comparison: Comparison) -> Sequence[Column]:
    """All of them."""
    in_unit = unit(comparison)
    scale = 1 / in_unit.scale
    return (
        Column("size_bytes", f"file, {in_unit.name}", lambda each: _exact(each.size_bytes), scale),
        Column("bits_per_weight", "bits per weight", lambda each: _exact(each.bits_per_weight)),
        Column("memory_bytes", f"memory, {in_unit.name}", _memory, scale),
        Column("memory_predicted_bytes", f"memory predicted, {in_unit.name}", _predicted, scale),
        *_SPEED,
        *_ENERGY,
        *_QUALITY,
    )


def main_columns(comparison: Comparison) -> Sequence[Column]:
    """What decides, for tables that people read; without those that are empty."""
    chosen = (column for column in columns(comparison) if column.key in _MAIN)
    return [column for column in chosen if any(map(is_known, map(column.figure, comparison.variants)))]


def is_known(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value is not None


_MAIN = (
    "size_bytes", "memory_bytes", "prefill_tps", "decode_tps", "server_ttft_s", "answer_joules", "ppl",
    "kld_mean", "kld_p99", "same_top", "hard_flips",
)  # fmt: skip


def memory_parts(of: Memory, tokens: int) -> tuple[int, int, int]:
    """Bytes of weights, KV cache and compute with so many tokens. Compute is taken as the same at every
    context: nearly true with flash attention, and small without."""
    total, compute = of.at_context.get(tokens, of.total_bytes), of.compute_bytes or 0
    return of.weights_bytes, max(0, total - of.weights_bytes - compute), compute


def contexts(comparison: Comparison) -> list[int]:
    """In tokens, ascending: those for which the memory of every variant was predicted; the comparison's own
    where there is no other, since the model is made for less."""
    known = [set(each.memory.at_context) for each in comparison.variants if each.memory]
    return (sorted(set.intersection(*known)) or [comparison.context]) if known else []


def _exact(value: float | None, reason: str | None = None) -> Estimate:
    """A figure that is known, not measured."""
    return Estimate(value=value, reason=reason)


def _memory(variant: VariantResult) -> Estimate | None:
    """Measured, else predicted, at the comparison's context."""
    return _exact(memory_bytes(variant), variant.memory.reason) if variant.memory else None


def _predicted(variant: VariantResult) -> Estimate | None:
    return _exact(variant.memory.total_bytes) if variant.memory else None


def _of_speed(name: str) -> Callable[[VariantResult], Estimate | None]:
    return lambda each: getattr(each.speed, name) if each.speed else None


def _of_start(name: str) -> Callable[[VariantResult], Estimate | None]:
    def figure(variant: VariantResult) -> Estimate | None:
        start = at_depth_zero(variant)
        return getattr(start, name) if start else None

    return figure


def _of_energy(name: str) -> Callable[[VariantResult], Estimate | None]:
    return lambda each: getattr(each.energy, name) if each.energy else None


def _of_quality(name: str) -> Callable[[VariantResult], Estimate | None]:
    return lambda each: getattr(each.quality, name) if each.quality else None


def _tasks_right(variant: VariantResult) -> Estimate | None:
    return variant.tasks[ALL_TASKS].right if ALL_TASKS in variant.tasks else None


_SPEED = (
    Column("load_s", "load, s", lambda each: each.load_s),
    Column("load_cold_s", "cold load, s", _of_speed("load_cold_s")),
    Column("prefill_tps", "prefill, tok/s", _of_start("prefill_tps")),
    Column("decode_tps", "decode, tok/s", _of_start("decode_tps")),
    Column("server_ttft_s", "first token, s", _of_speed("server_ttft_s")),
    Column("client_ttft_s", "first token over HTTP, s", _of_speed("client_ttft_s")),
    Column("cold_ttft_s", "first token with load, s", _of_speed("cold_ttft_s")),
    Column("time_to_answer_s", "answer, s", _of_speed("time_to_answer_s")),
    Column("token_ratio", "tokens used", lambda each: each.answers.token_ratio if each.answers else None),
    Column("speed_up", "speed-up of answers", _of_speed("speed_up")),
)
_ENERGY = (
    Column("prompt_joules_gross", "J/prompt token", _of_energy("prompt_joules_gross")),
    Column("prompt_joules_net", "J/prompt token, net", _of_energy("prompt_joules_net")),
    Column("generated_joules_gross", "J/generated token", _of_energy("generated_joules_gross")),
    Column("generated_joules_net", "J/generated token, net", _of_energy("generated_joules_net")),
    Column("answer_joules", "J/answer", _of_energy("answer_joules")),
)
_QUALITY = (
    Column("ppl", "perplexity", _of_quality("ppl")),
    Column("ln_ratio", "ln ratio", _of_quality("ln_ratio")),
    Column("kld_mean", "KLD", _of_quality("kld_mean")),
    Column("kld_median", "KLD median", _of_quality("kld_median")),
    Column("kld_p90", "KLD p90", _of_quality("kld_p90")),
    Column("kld_p99", "KLD p99", _of_quality("kld_p99")),
    Column("kld_p999", "KLD p99.9", _of_quality("kld_p999")),
    Column("delta_p_mean", "Δp, %", _of_quality("delta_p_mean"), _PERCENT),
    Column("delta_p_rms", "RMS Δp, %", _of_quality("delta_p_rms"), _PERCENT),
    Column("same_top", "same top, %", _of_quality("same_top"), _PERCENT),
    Column("hard_flips", "hard flips, %", _of_quality("hard_flips"), _PERCENT),
    Column("temperature", "as temperature", _of_quality("temperature")),
    Column("bits_per_byte", "bits per byte", _of_quality("bits_per_byte")),
    Column("tasks_right", "tasks right, %", _tasks_right, _PERCENT),
)
