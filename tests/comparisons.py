"""A comparison with the figures that llama.cpp publishes for an 8B model: as events, as the result, and as an
`example` in which nothing is missing."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import NamedTuple

from runner.compare.energy import not_measured
from runner.compare.spread import blank
from runner.wire.compare import (
    Answers,
    Choice,
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
    Fork,
    Memory,
    Quality,
    Recommendation,
    Speed,
    SpeedAt,
    Tier,
    TokenHeat,
    VariantMeasured,
    VariantResult,
)

MODEL = "llama3:8b"
DOMAINS = {"prose": 0.8, "code": 0.9, "math": 1.5, "json": 0.6, "german": 1.1, "arabic": 2.1}
"""How much harder each is than all together."""

_NOT_YET = "not measured"
_KV_BYTES, _COMPUTE_BYTES = 537_000_000, 263_000_000
_TEXT = """The tide pulls at the harbour twice a day, and every boat answers it in its own time. Mara counted
the ropes, then the gulls, then the minutes until the ferry. “You are early,” the keeper said, and set down a
cup of tea that had already gone cold. She laughed, because he said so every morning, and it was true."""


class _Row(NamedTuple):
    """`error` is that of KL divergence at 16 chunks, `decode` in tok/s, `joules` are of an answer."""

    name: str
    size_bytes: int
    kld: float
    error: float
    same_top: float
    hard: float
    ppl: float
    decode: float
    joules: float
    tier: Tier


_BEST: Tier = "practically the original"
_ROWS = {
    row.name: row
    for row in (
        _Row("F16", 16_070_000_000, 0.0, 0.0, 1.0, 0.0, 6.23, 6.12, 4210, _BEST),
        _Row("Q8_0", 8_540_000_000, 0.00136, 0.00005, 0.9767, 0.0, 6.234, 11.4, 2270, _BEST),
        _Row("Q6_K", 6_600_000_000, 0.00545, 0.00018, 0.9603, 0.001, 6.253, 14.9, 1840, _BEST),
        _Row("Q5_K_M", 5_730_000_000, 0.01076, 0.00042, 0.945, 0.003, 6.288, 17.3, 1660, "excellent"),
        _Row("Q4_K_M", 4_920_000_000, 0.0282, 0.0011, 0.919, 0.006, 6.407, 20.2, 1390, "good"),
        _Row("Q4_K_S", 4_690_000_000, 0.0431, 0.0017, 0.903, 0.011, 6.5, 21.0, 1360, "good"),
        _Row("IQ4_XS", 4_450_000_000, 0.0405, 0.0016, 0.905, 0.010, 6.46, 17.9, 1450, "good"),
        _Row("Q2_K", 3_180_000_000, 0.445, 0.021, 0.7114, 0.083, 9.751, 26.8, 1210, "broken"),
    )
}
NAMES = list(_ROWS)


def estimate(value: float, error: float) -> Estimate:
    return Estimate(value=value, error=error, low=value - 1.96 * error, high=value + 1.96 * error)


def _near(value: float, relative_error: float) -> Estimate:
    return estimate(value, abs(value) * relative_error)


def planned(name: str) -> VariantResult:
    """As it is known before anything is measured."""
    size_bytes = _ROWS[name].size_bytes
    total_bytes = size_bytes + _KV_BYTES + _COMPUTE_BYTES
    return VariantResult(
        name=name,
        digest="sha256:" + f"{NAMES.index(name)}" * 64,
        quantization=name,
        size_bytes=size_bytes,
        is_reference=name == "F16",
        memory=Memory(weights_bytes=size_bytes, kv_bytes=_KV_BYTES, total_bytes=total_bytes),
    )


def scored(name: str, chunks: int = 16) -> VariantResult:
    """With its quality after `chunks` chunks: the fewer, the wider the intervals."""
    row, wider = _ROWS[name], (16 / chunks) ** 0.5
    quality = blank(
        Quality,
        _NOT_YET,
        tokens=255 * chunks,
        clusters=chunks,
        ppl=estimate(row.ppl, 0.11 * wider),
        kld_mean=estimate(row.kld, row.error * wider),
        kld_median=estimate(row.kld * 0.4, row.error * wider),
        same_top=estimate(row.same_top, 0.004 * wider if row.same_top < 1 else 0.0),
        flips=blank(Flips, _NOT_YET),
        hard_flips=_near(row.hard, 0.15 * wider),
        tier=row.tier,
    )
    return planned(name).model_copy(update={"quality": quality})


def measured(name: str) -> VariantResult:
    """With everything that a machine without a sensor measures quickly."""
    row, before = _ROWS[name], scored(name)
    speed = blank(
        Speed,
        _NOT_YET,
        prompt_tokens=512,
        generate_tokens=128,
        depths=[_speed_at(row.decode, 0, 1.0)],
        load_warm_s=estimate(row.size_bytes / 4e9, 0.02),
        server_ttft_s=estimate(512 / row.decode / 9.1, 0.02),
    )
    hint = "not measurable here: /sys/class/powercap cannot be read; `nybble doctor` says how to allow it"
    assert before.memory is not None
    loaded = {"compute_bytes": _COMPUTE_BYTES, "measured_bytes": before.memory.total_bytes + 60_000_000}
    memory = before.memory.model_copy(update=loaded)
    update = {"memory": memory, "speed": speed, "energy": not_measured(hint), "load_s": speed.load_warm_s}
    return before.model_copy(update=update)


def _speed_at(decode: float, depth: int, factor: float) -> SpeedAt:
    return SpeedAt(
        depth=depth,
        prefill_tps=estimate(decode * 9.1 * factor, 0.7),
        decode_tps=estimate(decode * factor, 0.09),
    )


def complete(name: str) -> VariantResult:
    """With everything there is."""
    row, before = _ROWS[name], measured(name)
    assert before.memory and before.quality and before.speed
    at_context = {tokens: row.size_bytes + tokens * 65_552 + _COMPUTE_BYTES for tokens in (4096, 8192, 32768)}
    is_compared = name != "F16"
    update = {
        "tag": f"{MODEL}-{name.lower()}",
        "bits_per_weight": row.size_bytes / 1.0044e9,
        "types": {"Q6_K": row.size_bytes // 4, name: row.size_bytes - row.size_bytes // 4},
        "settings": {"kv_type": "f16", "threads": "8"},
        "memory": before.memory.model_copy(update={"at_context": at_context}),
        "quality": before.quality.model_copy(update=_tails(row)),
        "speed": before.speed.model_copy(update=_times(row)),
        "energy": _energy(row.joules),
        "domains": {domain: _domain(row.kld, domain) for domain in DOMAINS} if is_compared else {},
        "answers": _answers(row) if is_compared else None,
        "strip": _strip(row) if is_compared else [],
    }
    return before.model_copy(update=update)


def _tails(row: _Row) -> dict[str, object]:
    """Of the quality, what takes many tokens."""
    few = Estimate(reason="takes 20,000 tokens, 4,080 were scored")
    return {
        "ln_ratio": _near(row.kld * 0.8, 0.2),
        "kld_p90": _near(row.kld * 2.4, 0.08),
        "kld_p99": _near(row.kld * 8.5, 0.14),
        "kld_p999": few if row.kld < 0.01 else _near(row.kld * 24, 0.3),
        "delta_p_mean": _near(-row.kld * 0.05, 0.4),
        "delta_p_rms": _near(row.kld**0.5 * 0.32, 0.04),
        "flips": Flips(
            tie=_near(0.02, 0.1),
            soft=_near(0.02, 0.1),
            firm=_near(row.hard * 2, 0.1),
            hard=_near(row.hard, 0.2),
        ),
        "temperature": _near(1 + row.kld**0.5 * 0.6, 0.004),
        "bits_per_byte": _near(0.71 + row.kld * 0.3, 0.01),
    }


def _times(row: _Row) -> dict[str, object]:
    """Of the speed, what takes a while."""
    first_s, load_s = 512 / row.decode / 9.1, row.size_bytes / 1.4e9
    slower = {0: 1.0, 4096: 0.81, 16384: 0.52}
    return {
        "depths": [_speed_at(row.decode, depth, factor) for depth, factor in slower.items()],
        "load_cold_s": _near(load_s, 0.1),
        "client_ttft_s": _near(first_s + 0.004, 0.02),
        "cold_ttft_s": _near(first_s + load_s, 0.08),
        "time_to_answer_s": _near(first_s + 240 / row.decode, 0.03),
    }


def _energy(joules: float) -> Energy:
    return Energy(
        sensor="RAPL package-0",
        covers="CPU package",
        prompt_joules_gross=_near(joules / 2600, 0.02),
        prompt_joules_net=_near(joules / 3100, 0.03),
        generated_joules_gross=_near(joules / 300, 0.02),
        generated_joules_net=_near(joules / 360, 0.03),
        answer_joules=_near(joules, 0.025),
    )


def _domain(kld: float, domain: str) -> DomainQuality:
    harder = DOMAINS[domain]
    return DomainQuality(
        tokens=2040,
        clusters=8,
        kld_mean=_near(kld * harder, 0.12),
        same_top=_near(1 - min(0.5, kld * harder), 0.01),
        hard_flips=_near(kld * harder * 0.2, 0.3),
        z=(harder - 1) * 4,
        is_worse=harder > 1.7,
    )


def _answers(row: _Row) -> Answers:
    shared = "A hash map keeps its entries in buckets. "
    fork = Fork(
        prompt="Explain a hash map to a ten-year-old.",
        domain="prose",
        token=9,
        margin=0.04,
        reference_top=[Choice(text=" Think", logprob=-0.69), Choice(text=" Imagine", logprob=-0.73)],
        candidate_top=[Choice(text=" Imagine", logprob=-0.66), Choice(text=" Think", logprob=-0.75)],
        shared_text=shared,
        reference_text=shared + "Think of a coat check: your ticket tells them which hook to look at.",
        candidate_text=shared + "Imagine a wall of lockers where your name tells you which one is yours.",
    )
    wrong = Fork(
        prompt="What is 17 · 24?",
        domain="math",
        token=4,
        margin=1.9,
        is_real=True,
        reference_top=[Choice(text="408", logprob=-0.1), Choice(text="418", logprob=-2.0)],
        candidate_top=[Choice(text="418", logprob=-0.5), Choice(text="408", logprob=-0.9)],
        shared_text="17 · 24 = ",
        reference_text="17 · 24 = 408.",
        candidate_text="17 · 24 = 418.",
    )
    share = max(0.05, 0.8 - row.kld * 5)
    return Answers(
        prompts=24,
        identical={32: _near(share, 0.1), 128: _near(share * 0.6, 0.15), 256: _near(share * 0.4, 0.2)},
        median_fork=_near(0.7 / (row.kld + 0.003), 0.2),
        median_firm_fork=Estimate(reason="fewer than half of the answers parted"),
        token_ratio=_near(1 + row.kld, 0.03),
        capped=_near(0.04, 0.5),
        forks=[fork, wrong] if row.name != "Q8_0" else [fork],
    )


def _strip(row: _Row) -> list[TokenHeat]:
    chance = random.Random(row.name)
    words = [word if index == 0 else " " + word for index, word in enumerate(_TEXT.split())]
    heats = [chance.gammavariate(0.4, row.kld / 0.4) for _ in words]
    return [
        TokenHeat(text=word, kld=heat, margin=chance.expovariate(0.6), is_flip=chance.random() < heat * 1.5)
        for word, heat in zip(words, heats, strict=True)
    ]


def example() -> Comparison:
    """The same comparison, of complete variants."""
    text = {"kind": "the reference's own answers", "tokens": "4080", "stream": "sha256:" + "5e" * 32,
            "template": "sha256:" + "a1" * 32}  # fmt: skip
    return comparison().model_copy(
        update={
            "variants": [complete(name) for name in NAMES],
            "engine": {"build": "llama.cpp 0c1e57098", "llama_cpp_python": "0.3.36"},
            "text": text,
            "noise_floor": Estimate(value=0.0, error=0.0),
        }
    )


def comparison(id: int | None = 7) -> Comparison:
    variants = [measured(name) for name in NAMES]
    japanese = blank(
        DomainQuality,
        _NOT_YET,
        tokens=900,
        clusters=16,
        kld_mean=estimate(0.71, 0.04),
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
