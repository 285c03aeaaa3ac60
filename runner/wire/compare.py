"""Comparison of quantizations: `/nybble/compare`, its events, and its result."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from runner.wire.base import Wire
from runner.wire.generation import ErrorEvent

Intent = Literal["balanced", "fast", "best", "battery"]
Effort = Literal["quick", "standard", "deep"]
ALL_TASKS = "all"
"""In `VariantResult.tasks`: whether all of an answer is right."""

Tier = Literal["practically the original", "excellent", "good", "noticeable", "damaged", "broken"]


class CompareRequest(Wire):
    """Compare variants of `name`. `quants` are quantizations or local tags, None for those that are there;
    `reference` is one of these, None for the best. `context` in tokens is what the model is to be used with.
    `domains` are the kinds of text that must not suffer ("code", "German", …), all of them if empty. `text`
    is the user's own, which never leaves this computer. `chunks` replaces what `effort` means.
    `compatible` scores as llama-perplexity does. `vary` compares settings instead of files: values by name of
    the setting ("kv_type", "flash_attention", "context_length", "threads", "speculation")."""

    name: str
    quants: list[str] | None = None
    reference: str | None = None
    intent: Intent = "balanced"
    domains: list[str] = Field(default_factory=list)
    context: int = Field(4096, ge=256, le=2**24)
    effort: Effort = "quick"
    measure: Literal["all", "quality", "speed"] = "all"
    chunks: int | None = Field(None, ge=1)
    compatible: bool = False
    text: str | None = None
    vary: dict[str, list[str]] = Field(default_factory=dict)
    keep_made: bool = False
    """Keep quantizations made for this as local models, and files fetched for it."""


def settings(texts: Iterable[str]) -> dict[str, list[str]]:
    """`CompareRequest.vary`, as people write it: `kv_type=f16,q8_0`. Raises ValueError for anything else."""
    found = {}
    for text in texts:
        name, equals, values = text.partition("=")
        listed = [value.strip() for value in values.split(",")]
        if not (equals and name.strip() and all(listed)):
            raise ValueError("expects settings like kv_type=f16,q8_0")
        found[name.strip()] = listed
    return found


class Estimate(Wire):
    """A figure: `error` is its standard error, `low` and `high` its 95 % interval. Where `value` or `error`
    is None, `reason` says why."""

    value: float | None = None
    error: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


class Memory(Wire):
    """Predicted at the comparison's context from the file and the KV formula, and measured after a real load
    (None with `reason`). All in bytes; `total_bytes` is the predicted sum."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int | None = None
    total_bytes: int
    measured_bytes: int | None = None
    reason: str | None = None
    at_context: dict[int, int] = Field(default_factory=dict)
    """Predicted total at other contexts (4096, 8192, 32768), in bytes by tokens."""
    compute_at_context: dict[int, int] = Field(default_factory=dict)
    """What of these is compute: without flash attention it grows with the context."""


class SpeedAt(Wire):
    """Tokens a second behind `depth` tokens; median and its error from the median absolute deviation."""

    depth: int
    prefill_tps: Estimate
    decode_tps: Estimate


class Speed(Wire):
    """`depths` as llama-bench defines them. Times to the first token, each of `prompt_tokens` without any
    cached: `server_ttft_s` inside the daemon, `client_ttft_s` over HTTP, `cold_ttft_s` with the load."""

    prompt_tokens: int
    generate_tokens: int
    depths: list[SpeedAt]
    load_cold_s: Estimate
    load_warm_s: Estimate
    server_ttft_s: Estimate
    client_ttft_s: Estimate
    cold_ttft_s: Estimate
    time_to_answer_s: Estimate
    speed_up: Estimate | None = None
    """Of whole answers: decode by that of the reference, divided by the ratio of tokens used."""
    warnings: list[str] = Field(default_factory=list)


class Energy(Wire):
    """Joules per token, gross and net of what the idle machine takes. `sensor` and what it `covers`
    ("CPU package", "whole laptop", …) belong to every figure; where nothing can be read both are None and
    `reason` says why and how to allow it."""

    sensor: str | None = None
    covers: str | None = None
    prompt_joules_gross: Estimate
    prompt_joules_net: Estimate
    generated_joules_gross: Estimate
    generated_joules_net: Estimate
    answer_joules: Estimate
    reason: str | None = None


class Flips(Wire):
    """Share of tokens whose first choice changed, by the reference's lead: below 0.1, 0.5, 1 nats, above."""

    tie: Estimate
    soft: Estimate
    firm: Estimate
    hard: Estimate


class Quality(Wire):
    """Against the reference, in nats. Formulas: docs/compare.md."""

    tokens: int
    clusters: int
    ppl: Estimate
    ln_ratio: Estimate
    kld_mean: Estimate
    kld_median: Estimate
    kld_p90: Estimate
    kld_p99: Estimate
    kld_p999: Estimate
    delta_p_mean: Estimate
    delta_p_rms: Estimate
    same_top: Estimate
    flips: Flips
    hard_flips: Estimate
    temperature: Estimate
    bits_per_byte: Estimate
    text_bits: list[float] = Field(default_factory=list)
    """Bits per byte of each excerpt of nybble's texts: the same ones in the same order for all variants."""
    tier: Tier | None = None


class DomainQuality(Wire):
    """One kind of text. `z` compares its mean KL divergence with that of all others of the same variant;
    `is_worse` only where z ≥ 3."""

    tokens: int
    clusters: int
    kld_mean: Estimate
    same_top: Estimate
    hard_flips: Estimate
    z: float | None = None
    is_worse: bool = False


class Choice(Wire):
    """A token some model would have written, with its ln p."""

    text: str
    logprob: float


class Fork(Wire):
    """Where the greedy answers to one prompt part: after `token` tokens. `margin` is the reference's lead
    there in nats, `is_real` whether that is more than a coin's flip (> 0.5). `reference_text` and
    `candidate_text` are the whole answers; `shared_text` what they have in common."""

    prompt: str
    domain: str
    token: int | None = None
    margin: float | None = None
    is_real: bool = False
    reference_top: list[Choice] = Field(default_factory=list)
    candidate_top: list[Choice] = Field(default_factory=list)
    shared_text: str = ""
    reference_text: str = ""
    candidate_text: str = ""


class Answers(Wire):
    """Greedy answers beside the reference's. `identical` is the share that is the same for so many tokens;
    `median_fork` is Kaplan-Meier's median in tokens; `token_ratio` tokens used by tokens the reference used,
    `capped` the share of answers cut at the limit, `looped` of those that go in circles there. Of the
    reference itself `capped` and `looped` are of all its answers, the rest of those that it gave twice."""

    prompts: int
    identical: dict[int, Estimate] = Field(default_factory=dict)
    median_fork: Estimate
    median_firm_fork: Estimate
    token_ratio: Estimate
    capped: Estimate
    looped: Estimate | None = None
    forks: list[Fork] = Field(default_factory=list)


class TaskScore(Wire):
    """Answers to questions whose answer is known, or one part of them: share that is right, and of the
    reference's. `lost` are right in the reference's answers only, `gained` in these only; `p_value` is
    McNemar's, exact. `outcomes` are right or not, in the order in which they were asked."""

    right: Estimate
    reference_right: Estimate
    lost: int
    gained: int
    p_value: float
    outcomes: list[bool]


class TokenHeat(Wire):
    """One scored token of the reference's own answer, for the strip of a report."""

    text: str
    kld: float
    margin: float
    is_flip: bool


class VariantResult(Wire):
    """One row; parts that were not measured (yet) are None. `problems` say why a figure must not be trusted
    ("implausible: …") or why the variant was left out."""

    name: str
    digest: str
    tag: str | None = None
    quantization: str | None = None
    size_bytes: int
    bits_per_weight: float | None = None
    body_bits_per_weight: float | None = None
    types: dict[str, int] = Field(default_factory=dict)
    """Bytes of weights by ggml type: what the file really contains."""
    settings: dict[str, str] = Field(default_factory=dict)
    is_reference: bool = False
    memory: Memory | None = None
    load_s: Estimate | None = None
    speed: Speed | None = None
    energy: Energy | None = None
    quality: Quality | None = None
    domains: dict[str, DomainQuality] = Field(default_factory=dict)
    answers: Answers | None = None
    tasks: dict[str, TaskScore] = Field(default_factory=dict)
    """By what must be right: "all" of it, "math", "valid JSON", "JSON fits schema", "JSON right",
    "tool name", "tool call right"."""
    strip: list[TokenHeat] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)


class Recommendation(Wire):
    """`choice` is None if nothing is feasible. `confidence` is the share of resamplings that choose the same;
    `refused` says for each variant that was out why."""

    intent: Intent
    choice: str | None = None
    reason: str
    would_change: str
    runner_up: str | None = None
    confidence: float | None = None
    refused: dict[str, str] = Field(default_factory=dict)


class Comparison(Wire):
    """The result, and what it depends on. `pareto` are names of variants that no other beats, `ties` groups
    of names that this measurement cannot tell apart."""

    id: int | None = None
    created_at: AwareDatetime
    model: str
    reference: str
    context: int
    effort: Effort
    intent: Intent
    engine: dict[str, str]
    hardware: dict[str, str]
    memory_limit_bytes: int | None = None
    """What a model may take on this machine: a predicted `total_bytes` above it does not fit."""
    text: dict[str, str] = Field(default_factory=dict)
    """What was scored: kind, tokens, digest of the token stream, digest of the template."""
    noise_floor: Estimate | None = None
    variants: list[VariantResult]
    pareto: list[str] = Field(default_factory=list)
    ties: list[list[str]] = Field(default_factory=list)
    recommendation: Recommendation | None = None
    notes: list[str] = Field(default_factory=list)
    seconds: float | None = None


class ComparisonInfo(Wire):
    """One line of `compare list`. If it cannot be read, `problem` says why and nothing else is known."""

    id: int
    created_at: datetime | None
    model: str
    reference: str
    variants: list[str]
    choice: str | None = None
    is_finished: bool = True
    problem: str | None = None


class ComparePlanned(Wire):
    """First event: what will be compared, and what it takes."""

    type: Literal["planned"] = "planned"
    variants: list[VariantResult]
    reference: str
    notes: list[str] = Field(default_factory=list)
    resumed_blocks: int = 0


class CompareProgress(Wire):
    """`phase` is a few words for people; `remaining_s` is None while nothing is known."""

    type: Literal["progress"] = "progress"
    phase: str
    detail: str | None = None
    completed: int | None = None
    total: int | None = None
    remaining_s: float | None = None


class VariantMeasured(Wire):
    """All that is known of one variant so far; it replaces what was known before."""

    type: Literal["variant"] = "variant"
    variant: VariantResult


class CompareSettled(Wire):
    """The ranking will not change any more, `seconds` after the start."""

    type: Literal["settled"] = "settled"
    seconds: float
    ties: list[list[str]]


class ComparisonDone(Wire):
    type: Literal["done"] = "done"
    comparison: Comparison


CompareEvent = Annotated[
    ComparePlanned | CompareProgress | VariantMeasured | CompareSettled | ComparisonDone | ErrorEvent,
    Field(discriminator="type"),
]
