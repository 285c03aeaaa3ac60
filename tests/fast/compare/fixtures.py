"""Rows of an 8B model as they were published for llama.cpp, on a machine of which the fixtures say more."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.compare.quality import summarize_alone
from runner.compare.spread import blank
from runner.compare.wish import Floors, Wish
from runner.wire.compare import (
    DomainQuality,
    Energy,
    Estimate,
    Intent,
    Memory,
    Quality,
    Speed,
    SpeedAt,
    VariantResult,
)
from tests.fast.compare.synthetic import blocks, reference

GIB = 2**30
KV_BYTES_PER_TOKEN = 128 * 1024
"""32 layers, 8 KV heads of 128, two times 16 bits."""

COMPUTE_BYTES = int(0.3 * GIB)
_MISSING = "not part of this fixture"


@dataclass(frozen=True, slots=True)
class Row:
    """`gib` of weights, mean KL divergence, tok/s written, joules an answer; `domains` has KL divergences."""

    name: str
    gib: float
    kld: float
    tps: float
    joules: float | None = None
    domains: dict[str, float] = field(default_factory=dict)
    bits_per_byte: float | None = None


LADDER = (
    Row("Q8_0", 7.95, 0.00136, 9.4),
    Row("Q6_K", 6.14, 0.00545, 11.9),
    Row("Q5_K_M", 5.33, 0.01076, 13.4),
    Row("Q4_K_M", 4.58, 0.0313, 15.8),
    Row("IQ4_XS", 4.14, 0.0363, 15.1),
    Row("Q3_K_M", 3.74, 0.102, 16.6),
    Row("Q2_K", 2.96, 0.445, 18.9),
)


def wish(intent: Intent, usable_gib: float, **floors: float | None) -> Wish:
    """At a context of 4,096 tokens; floors of 10 tok/s and a KL divergence of 0.12, unless said otherwise."""
    chosen = Floors(**{"decode_tps": 10.0, "kld": 0.12, **floors})
    return Wish(intent, 4096, int(usable_gib * GIB), chosen)


def variant(row: Row, faster: float = 1.0, error: float = 0.03) -> VariantResult:
    """`faster` multiplies speeds; `error` is that of KL divergence, relative."""
    return VariantResult(
        name=row.name,
        digest="sha256:" + "0" * 64,
        quantization=row.name,
        size_bytes=int(row.gib * GIB),
        memory=_memory(row),
        speed=_speed(row.tps * faster),
        energy=_energy(row.joules) if row.joules else None,
        quality=_quality(row, error),
        domains={
            name: blank(DomainQuality, _MISSING, tokens=2000, clusters=8, kld_mean=_near(kld, error))
            for name, kld in row.domains.items()
        },
    )


def _memory(row: Row) -> Memory:
    weights = int(row.gib * GIB)
    totals = {
        context: weights + context * KV_BYTES_PER_TOKEN + COMPUTE_BYTES for context in (4096, 8192, 32768)
    }
    return Memory(
        weights_bytes=weights,
        kv_bytes=4096 * KV_BYTES_PER_TOKEN,
        compute_bytes=COMPUTE_BYTES,
        total_bytes=totals[4096],
        at_context=totals,
    )


def _quality(row: Row, error: float) -> Quality:
    alone = summarize_alone(blocks(2, 10), reference(2, 10, seed=1))
    if row.bits_per_byte is not None:
        return alone.model_copy(update={"bits_per_byte": _near(row.bits_per_byte, 0.003)})
    return alone.model_copy(update={"kld_mean": _near(row.kld, error)})


def _speed(tps: float) -> Speed:
    """An answer of 256 tokens; prefill is twelve times as fast as writing."""
    at = SpeedAt(depth=0, prefill_tps=_near(12 * tps, 0.005), decode_tps=_near(tps, 0.005))
    return blank(
        Speed,
        _MISSING,
        prompt_tokens=512,
        generate_tokens=128,
        depths=[at],
        time_to_answer_s=_near(256 / tps, 0.005),
    )


def _energy(joules: float) -> Energy:
    return blank(
        Energy,
        _MISSING,
        sensor="RAPL",
        covers="CPU package",
        answer_joules=_near(joules, 0.005),
    )


def _near(value: float, relative: float) -> Estimate:
    error = value * relative
    return Estimate(value=value, error=error, low=value - 2 * error, high=value + 2 * error)
