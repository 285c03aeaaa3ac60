"""A comparison with the figures that llama.cpp publishes for an 8B model, as events and as the result."""

from __future__ import annotations

from datetime import UTC, datetime

from runner.wire.compare import (
    CompareEvent,
    ComparePlanned,
    CompareProgress,
    CompareSettled,
    Comparison,
    ComparisonDone,
    ComparisonInfo,
    DomainQuality,
    Energy,
    Estimate,
    Flips,
    Memory,
    Quality,
    Recommendation,
    Speed,
    SpeedAt,
    Tier,
    VariantMeasured,
    VariantResult,
)

MODEL = "llama3:8b"
NONE = Estimate(reason="not measured")
# name, GB, KL divergence, its standard error at 16 chunks, same top, hard flips, perplexity, decode, tier
_ROWS: list[tuple[str, float, float, float, float, float, float, float, Tier]] = [
    ("F16", 16.07, 0.0, 0.0, 1.0, 0.0, 6.23, 6.12, "practically the original"),
    ("Q8_0", 8.54, 0.00136, 0.00005, 0.9767, 0.0, 6.234, 11.4, "practically the original"),
    ("Q6_K", 6.60, 0.00545, 0.00018, 0.9603, 0.001, 6.253, 14.9, "practically the original"),
    ("Q5_K_M", 5.73, 0.01076, 0.00042, 0.945, 0.003, 6.288, 17.3, "excellent"),
    ("Q4_K_M", 4.92, 0.0282, 0.0011, 0.919, 0.006, 6.407, 20.2, "good"),
    ("Q4_K_S", 4.69, 0.0431, 0.0017, 0.903, 0.011, 6.5, 21.0, "good"),
    ("IQ4_XS", 4.45, 0.0405, 0.0016, 0.905, 0.010, 6.46, 17.9, "good"),
    ("Q2_K", 3.18, 0.445, 0.021, 0.7114, 0.083, 9.751, 26.8, "broken"),
]
NAMES = [row[0] for row in _ROWS]


def estimate(value: float, error: float) -> Estimate:
    return Estimate(value=value, error=error, low=value - 1.96 * error, high=value + 1.96 * error)


def planned(name: str) -> VariantResult:
    """As it is known before anything is measured."""
    gigabytes = next(row[1] for row in _ROWS if row[0] == name)
    weights = round(gigabytes * 1e9)
    memory = Memory(weights_bytes=weights, kv_bytes=537_000_000, total_bytes=weights + 800_000_000)
    return VariantResult(
        name=name,
        digest="sha256:" + f"{NAMES.index(name)}" * 64,
        quantization=name,
        size_bytes=weights,
        is_reference=name == "F16",
        memory=memory,
    )


def scored(name: str, chunks: int = 16) -> VariantResult:
    """With its quality after `chunks` chunks: the fewer, the wider the intervals."""
    _, _, kld, error, top, hard, ppl, _, tier = next(row for row in _ROWS if row[0] == name)
    wider = (16 / chunks) ** 0.5
    share = estimate(top, 0.004 * wider if top < 1 else 0.0)
    quality = Quality(
        tokens=255 * chunks,
        clusters=chunks,
        ppl=estimate(ppl, 0.11 * wider),
        ln_ratio=NONE,
        kld_mean=estimate(kld, error * wider),
        kld_median=estimate(kld * 0.4, error * wider),
        kld_p90=NONE,
        kld_p99=NONE,
        kld_p999=NONE,
        delta_p_mean=NONE,
        delta_p_rms=NONE,
        same_top=share,
        flips=Flips(tie=NONE, soft=NONE, firm=NONE, hard=NONE),
        hard_flips=estimate(hard, hard * 0.15 * wider),
        temperature=NONE,
        bits_per_byte=NONE,
        tier=tier,
    )
    return planned(name).model_copy(update={"quality": quality})


def measured(name: str) -> VariantResult:
    """With everything."""
    decode = next(row[7] for row in _ROWS if row[0] == name)
    weights = planned(name).size_bytes
    at = SpeedAt(depth=0, prefill_tps=estimate(decode * 9.1, 0.7), decode_tps=estimate(decode, 0.09))
    speed = Speed(
        prompt_tokens=512,
        generate_tokens=128,
        depths=[at],
        load_cold_s=NONE,
        load_warm_s=estimate(weights / 4e9, 0.02),
        server_ttft_s=estimate(512 / decode / 9.1, 0.02),
        client_ttft_s=NONE,
        cold_ttft_s=NONE,
        time_to_answer_s=NONE,
    )
    hint = "not measurable here: /sys/class/powercap cannot be read; `nybble doctor` says how to allow it"
    energy = Energy(
        prompt_joules_gross=NONE,
        prompt_joules_net=NONE,
        generated_joules_gross=NONE,
        generated_joules_net=Estimate(reason=hint),
        answer_joules=NONE,
        reason=hint,
    )
    memory = Memory(
        weights_bytes=weights,
        kv_bytes=537_000_000,
        compute_bytes=263_000_000,
        total_bytes=weights + 800_000_000,
        measured_bytes=weights + 860_000_000,
    )
    update = {"memory": memory, "speed": speed, "energy": energy, "load_s": speed.load_warm_s}
    return scored(name).model_copy(update=update)


def comparison(id: int | None = 7) -> Comparison:
    variants = [measured(name) for name in NAMES]
    japanese = DomainQuality(
        tokens=900,
        clusters=16,
        kld_mean=estimate(0.71, 0.04),
        same_top=NONE,
        hard_flips=NONE,
        z=5.2,
        is_worse=True,
    )
    variants[-1].domains["Japanese"] = japanese
    return Comparison(
        id=id,
        created_at=datetime(2026, 5, 1, 14, 2, tzinfo=UTC),
        model=MODEL,
        reference="F16",
        context=8192,
        memory_limit_bytes=12_000_000_000,
        effort="quick",
        intent="balanced",
        engine={"build": "0.3.36"},
        hardware={"cpu": "8 cores"},
        text={"kind": "the reference's own answers"},
        variants=variants,
        pareto=["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q2_K"],
        ties=[["IQ4_XS", "Q4_K_S"]],
        recommendation=Recommendation(
            intent="balanced",
            choice="Q5_K_M",
            reason="Q5_K_M fits 8 GB with 8 k context (0.9 GB spare), writes 17 tok/s and stays at KL "
            "divergence 0.011 ± 0.001. Q6_K is better (half the divergence) but 14 % slower and leaves no "
            "room for 16 k.",
            would_change="Instead it would be Q4_K_M with 4 GB less memory.",
            runner_up="Q6_K",
            confidence=0.84,
            refused={"F16": "it needs 16.9 GB, and 12.0 GB are free"},
        ),
        seconds=222.0,
    )


def infos() -> list[ComparisonInfo]:
    """Of `comparisons`, newest first."""
    newest = ComparisonInfo(
        id=3,
        created_at=comparison().created_at,
        model=MODEL,
        reference="F16",
        variants=NAMES,
        choice="Q5_K_M",
    )
    older = newest.model_copy(
        update={"id": 2, "model": "smollm2:135m", "choice": None, "is_finished": False, "variants": NAMES[:3]}
    )
    return [newest, older]


def beginning() -> list[CompareEvent]:
    """Up to the first figures."""
    plan = ComparePlanned(variants=[planned(name) for name in NAMES], reference="F16")
    loading = CompareProgress(phase="loading", detail="F16")
    return [plan, loading, *_scoring(4, 95.0)]


def middle() -> list[CompareEvent]:
    """Up to a settled ranking, with the first speeds."""
    ties = CompareSettled(seconds=130.0, ties=[["IQ4_XS", "Q4_K_S"]])
    speed = CompareProgress(phase="measuring speed", detail="Q5_K_M", completed=3, total=8, remaining_s=70.0)
    return [*_scoring(16, 60.0), ties, *(VariantMeasured(variant=measured(n)) for n in NAMES[:3]), speed]


def _scoring(chunks: int, remaining_s: float) -> list[CompareEvent]:
    progress = CompareProgress(phase="scoring", completed=chunks, total=16, remaining_s=remaining_s)
    return [*(VariantMeasured(variant=scored(name, chunks)) for name in NAMES), progress]


def finished() -> list[CompareEvent]:
    return [*beginning(), *middle(), ComparisonDone(comparison=comparison())]
