"""From a request's sampling options to a sampler chain."""

from __future__ import annotations

import math
import secrets

from native.llama import Model
from native.sampler import SamplerChain
from runner.protocol import Sampling
from runner.worker.refused import Refused

# A token this much less likely than the best is never drawn, and one of probability 0 makes the entropy that
# `typical` computes not a number.
_NEGLIGIBLE = 1e-12


def build_chain(model: Model, sampling: Sampling, prompt: list[int]) -> SamplerChain:
    """The active samplers in llama.cpp's order: biases, penalties, DRY, then the most likely token
    (temperature 0), mirostat, or top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature and a draw.

    Penalties count the prompt's last tokens too, as llama.cpp's own tools do. Raises Refused.
    """
    biases = _biases(model, sampling)
    chain = SamplerChain(model)
    if biases:
        chain.bias(biases)
    remembered = _add_penalties(chain, model, sampling)
    seed = secrets.randbits(32) if sampling.seed is None else sampling.seed
    if sampling.temperature <= 0:
        chain.greedy()
    elif sampling.mirostat:
        chain.temperature(sampling.temperature)
        chain.mirostat(sampling.mirostat, sampling.mirostat_tau, sampling.mirostat_eta, seed)
    else:
        _add_truncation(chain, sampling, seed)
        chain.temperature(sampling.temperature)
        chain.draw(seed)
    if remembered:
        for token in prompt[-remembered:]:
            chain.accept(token)
    return chain


def _biases(model: Model, sampling: Sampling) -> list[tuple[int, float]]:
    for token, _ in sampling.logit_bias:
        if not 0 <= token < model.vocabulary_size:
            raise Refused(
                f"logit_bias names token {token}, and this model's are 0 to {model.vocabulary_size - 1}"
            )
    never = [(token, -math.inf) for token in model.end_tokens] if sampling.ignore_eos else []
    return [*sampling.logit_bias, *never]


def _add_penalties(chain: SamplerChain, model: Model, sampling: Sampling) -> int:
    """How many of the last tokens the chain remembers."""

    def window(last_tokens: int) -> int:
        # llama.cpp allocates what it is told, and few sequences are longer than what was trained.
        longest = model.trained_context_length
        return longest if last_tokens < 0 else min(last_tokens, longest)

    penalties = sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty
    counted = window(sampling.repeat_last_n) if penalties != (1, 0, 0) else 0
    if counted:
        chain.penalties(counted, *penalties)
    searched = window(sampling.dry_penalty_last_n) if sampling.dry_multiplier else 0
    if searched:
        chain.dry(
            searched,
            sampling.dry_multiplier,
            sampling.dry_base,
            sampling.dry_allowed_length,
            sampling.dry_sequence_breakers,
        )
    return max(counted, searched)


def _add_truncation(chain: SamplerChain, sampling: Sampling, seed: int) -> None:
    if sampling.top_n_sigma > 0:
        chain.top_n_sigma(sampling.top_n_sigma)
    if sampling.top_k > 0:
        chain.top_k(sampling.top_k)
    if sampling.typical_p < 1:
        chain.min_p(_NEGLIGIBLE)
        chain.typical(sampling.typical_p)
    if sampling.top_p < 1:
        chain.top_p(sampling.top_p)
    if sampling.min_p > 0:
        chain.min_p(sampling.min_p)
    if sampling.xtc_probability > 0:
        chain.xtc(sampling.xtc_probability, sampling.xtc_threshold, seed)
