"""From a request's sampling options to a sampler chain."""

from __future__ import annotations

import secrets

from native.llama import Model
from native.sampler import SamplerChain
from runner.protocol import Sampling


def build_chain(model: Model, sampling: Sampling, prompt: list[int]) -> SamplerChain:
    """Penalties, then temperature 0: the most likely token; else top-k, top-p, min-p, temperature, draw.

    Penalties count the prompt's last tokens too, as llama.cpp's own tools do.
    """
    chain = SamplerChain(model)
    if _penalises(sampling):
        window = sampling.repeat_last_n if sampling.repeat_last_n >= 0 else len(prompt) + 4096
        chain.penalties(
            window, sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty
        )
    if sampling.temperature <= 0:
        chain.greedy()
    else:
        _add_drawing(chain, sampling)
    if _penalises(sampling):
        for token in prompt[-window:]:
            chain.accept(token)
    return chain


def _penalises(sampling: Sampling) -> bool:
    active = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty) != (1, 0, 0)
    return active and sampling.repeat_last_n != 0


def _add_drawing(chain: SamplerChain, sampling: Sampling) -> None:
    if sampling.top_k > 0:
        chain.top_k(sampling.top_k)
    if sampling.top_p < 1:
        chain.top_p(sampling.top_p)
    if sampling.min_p > 0:
        chain.min_p(sampling.min_p)
    chain.temperature(sampling.temperature)
    chain.draw(secrets.randbits(32) if sampling.seed is None else sampling.seed)
