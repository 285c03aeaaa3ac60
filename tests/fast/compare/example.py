"""A comparison as one of an 8B model would come out: figures near the published ones of llama.cpp."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from runner.compare.tiers import tier
from runner.wire.compare import (
    Answers,
    Choice,
    Comparison,
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
    TokenHeat,
    VariantResult,
)

DOMAINS = ("prose", "dialogue", "code", "math", "json", "german", "japanese", "arabic")
_HARDER = dict(zip(DOMAINS, (0.8, 0.7, 0.9, 1.5, 0.6, 1.1, 1.6, 2.1), strict=True))
# name, bytes, bits per weight, KLD, perplexity, same top, hard flips, prefill and decode in tok/s, J/answer
_ROWS = (
    ("F16", 16_068_890_912, 16.0, 0.0, 6.2332, 1.0, 0.0, 212.0, 5.1, 4210.0),
    ("Q8_0", 8_540_770_592, 8.5008, 0.00136, 6.2342, 0.9767, 0.0, 241.0, 9.4, 2270.0),
    ("Q6_K", 6_596_006_176, 6.5633, 0.00545, 6.2534, 0.9603, 0.0004, 186.0, 11.9, 1840.0),
    ("Q5_K_M", 5_732_987_168, 5.7036, 0.01076, 6.2886, 0.9440, 0.0011, 178.0, 13.4, 1660.0),
    ("Q4_K_M", 4_920_733_984, 4.8944, 0.0313, 6.4071, 0.9190, 0.0062, 203.0, 15.8, 1390.0),
    ("IQ4_XS", 4_447_662_368, 4.4597, 0.0363, 6.4641, 0.9113, 0.0085, 149.0, 15.1, 1450.0),
    ("Q3_K_M", 4_018_917_664, 4.0003, 0.1020, 6.8884, 0.8611, 0.0270, 161.0, 16.6, 1340.0),
    ("Q2_K", 3_179_131_168, 3.1593, 0.4450, 9.7536, 0.7114, 0.0830, 168.0, 18.9, 1210.0),
)  # fmt: skip
_TEXT = """The tide pulls at the harbour twice a day, and every boat answers it in its own time. Mara
counted the ropes, then the gulls, then the minutes until the ferry. “You are early,” the keeper said, and
set down a cup of tea that had already gone cold. She laughed, because he said so every morning, and because
this morning it was true. Beyond the wall the water turned from slate to silver; somewhere an engine ran."""


def example() -> Comparison:
    """Eight variants, F16 the reference, eight kinds of text; Q5_K_M is recommended."""
    return Comparison(
        id=7,
        created_at=datetime(2026, 10, 12, 9, 30, tzinfo=UTC),
        model="llama3.1:8b-instruct",
        reference="F16",
        context=8192,
        effort="standard",
        intent="balanced",
        engine={"build": "llama.cpp 0c1e57098", "binding": "llama-cpp-python 0.3.36", "backend": "CPU"},
        hardware={"cpu": "AMD Ryzen 7 7840U", "memory": "16 GB", "threads": "8"},
        memory_limit_bytes=9_000_000_000,
        text={"kind": "reference's own answers", "tokens": "61440", "stream": "sha256:" + "5e" * 32,
              "template": "sha256:" + "a1" * 32},
        noise_floor=Estimate(value=0.0, error=0.0),
        variants=[_variant(index) for index in range(len(_ROWS))],
        pareto=["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"],
        ties=[["Q4_K_M", "IQ4_XS"]],
        recommendation=Recommendation(
            intent="balanced",
            choice="Q5_K_M",
            reason="Q5_K_M needs 6.9 GB with 8k context (2.1 GB spare) and writes 13 tok/s, at a KLD of"
            " 0.011 ± 0.001. Q6_K halves the KLD for 0.9 GB more, but is 11 % slower.",
            would_change="With 32k context only Q4_K_M and smaller fit.",
            runner_up="Q6_K",
            confidence=0.93,
            refused={"F16": "needs 17.3 GB, 9.0 GB are there"},
        ),
        notes=["The reference is F16: losses are against the original weights as published."],
        seconds=1284.0,
    )  # fmt: skip


def _near(value: float, relative_error: float) -> Estimate:
    error = abs(value) * relative_error
    return Estimate(value=value, error=error, low=value - 1.96 * error, high=value + 1.96 * error)


def _variant(index: int) -> VariantResult:
    name, size_bytes, bits, kld, _, _, _, prefill, decode, joules = _ROWS[index]
    chance = random.Random(index)
    return VariantResult(
        name=name,
        digest=f"sha256:{index:064x}",
        tag=f"llama3.1:8b-instruct-{name.lower()}",
        quantization=name,
        size_bytes=size_bytes,
        bits_per_weight=bits,
        types={"Q6_K": size_bytes // 4, name: size_bytes - size_bytes // 4},
        settings={"kv_type": "f16", "threads": "8"},
        is_reference=index == 0,
        memory=_memory(size_bytes),
        load_s=_near(size_bytes / 2.1e9, 0.04),
        speed=_speed(prefill, decode, size_bytes),
        energy=_energy(joules),
        quality=_quality(_ROWS[index]),
        domains={domain: _domain(kld, domain) for domain in DOMAINS} if index else {},
        answers=_answers(name, kld) if index else None,
        strip=_strip(kld, chance) if index else [],
    )


def _memory(size_bytes: int) -> Memory:
    kv_bytes, compute_bytes = 8192 * 131_072, 320_000_000
    at_context = {tokens: size_bytes + tokens * 131_072 + compute_bytes for tokens in (4096, 8192, 32768)}
    return Memory(
        weights_bytes=size_bytes,
        kv_bytes=kv_bytes,
        compute_bytes=compute_bytes,
        total_bytes=at_context[8192],
        measured_bytes=at_context[8192] + 31_000_000,
        at_context=at_context,
    )


def _speed(prefill: float, decode: float, size_bytes: int) -> Speed:
    slower = {0: 1.0, 4096: 0.81, 16384: 0.52}
    depths = [
        SpeedAt(
            depth=depth, prefill_tps=_near(prefill * factor, 0.012), decode_tps=_near(decode * factor, 0.02)
        )
        for depth, factor in slower.items()
    ]
    first_s = 2048 / prefill
    return Speed(
        prompt_tokens=2048,
        generate_tokens=128,
        depths=depths,
        load_cold_s=_near(size_bytes / 1.4e9, 0.1),
        load_warm_s=_near(size_bytes / 2.1e9, 0.04),
        server_ttft_s=_near(first_s, 0.02),
        client_ttft_s=_near(first_s + 0.004, 0.02),
        cold_ttft_s=_near(first_s + size_bytes / 1.4e9, 0.08),
        time_to_answer_s=_near(first_s + 240 / decode, 0.03),
    )


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


def _quality(row: tuple[str, int, float, float, float, float, float, float, float, float]) -> Quality:
    _, _, _, kld, ppl, same_top, hard, _, _, _ = row
    mean, p99 = _near(kld, 0.06), _near(kld * 8.5, 0.14)
    few = Estimate(reason="needs 20,000 tokens, 16,320 were scored")
    return Quality(
        tokens=16_320,
        clusters=64,
        ppl=_near(ppl, 0.005),
        ln_ratio=_near(kld * 0.8, 0.2),
        kld_mean=mean,
        kld_median=_near(kld * 0.35, 0.07),
        kld_p90=_near(kld * 2.4, 0.08),
        kld_p99=p99,
        kld_p999=few if kld < 0.01 else _near(kld * 24, 0.3),
        delta_p_mean=_near(-kld * 0.05, 0.4),
        delta_p_rms=_near(kld**0.5 * 0.32, 0.04),
        same_top=_near(same_top, 0.004),
        flips=Flips(
            tie=_near(0.02, 0.1), soft=_near(0.02, 0.1), firm=_near(hard * 2, 0.1), hard=_near(hard, 0.2)
        ),
        hard_flips=_near(hard, 0.2),
        temperature=_near(1 + kld**0.5 * 0.6, 0.004),
        bits_per_byte=_near(0.71 + kld * 0.3, 0.01),
        tier=tier(mean, p99, Estimate(value=hard)),
    )  # fmt: skip


def _domain(kld: float, domain: str) -> DomainQuality:
    harder = _HARDER[domain]
    return DomainQuality(
        tokens=2040,
        clusters=8,
        kld_mean=_near(kld * harder, 0.12),
        same_top=_near(1 - min(0.5, kld * harder), 0.01),
        hard_flips=_near(kld * harder * 0.2, 0.3),
        z=(harder - 1) * 4,
        is_worse=harder > 1.7,
    )


def _answers(name: str, kld: float) -> Answers:
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
    share = max(0.05, 0.8 - kld * 5)
    return Answers(
        prompts=24,
        identical={32: _near(share, 0.1), 128: _near(share * 0.6, 0.15), 256: _near(share * 0.4, 0.2)},
        median_fork=_near(0.7 / (kld + 0.003), 0.2),
        median_firm_fork=Estimate(reason="fewer than half of the answers parted"),
        token_ratio=_near(1 + kld, 0.03),
        capped=_near(0.04, 0.5),
        forks=[fork, wrong] if name != "Q8_0" else [fork],
    )


def _strip(kld: float, chance: random.Random) -> list[TokenHeat]:
    words = [word if index == 0 else " " + word for index, word in enumerate(_TEXT.split())]
    heats = [chance.gammavariate(0.4, kld / 0.4) for _ in words]
    return [
        TokenHeat(text=word, kld=heat, margin=chance.expovariate(0.6), is_flip=chance.random() < heat * 1.5)
        for word, heat in zip(words, heats, strict=True)
    ]
