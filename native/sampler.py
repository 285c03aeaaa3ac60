"""Sampler chains: how the next token is picked from the logits, in C."""

from __future__ import annotations

from native.binding import api
from native.llama import Context, Model


class SamplerChain:
    """Samplers applied in the order they were added; the last one must pick (`greedy` or `draw`)."""

    def __init__(self, model: Model) -> None:
        self._vocabulary_size = model.vocabulary_size
        self._handle = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())

    def close(self) -> None:
        if self._handle:
            api.llama_sampler_free(self._handle)
            self._handle = None

    def penalties(self, last_tokens: int, repeat: float, frequency: float, presence: float) -> None:
        """Penalise tokens seen in the `last_tokens` latest ones: `repeat` 1 is off, the others 0."""
        self._add(
            api.llama_sampler_init_penalties(self._vocabulary_size, last_tokens, repeat, frequency, presence)
        )

    def top_k(self, count: int) -> None:
        self._add(api.llama_sampler_init_top_k(count))

    def top_p(self, probability: float) -> None:
        self._add(api.llama_sampler_init_top_p(probability, 1))

    def min_p(self, ratio: float) -> None:
        self._add(api.llama_sampler_init_min_p(ratio, 1))

    def temperature(self, temperature: float) -> None:
        self._add(api.llama_sampler_init_temp(temperature))

    def greedy(self) -> None:
        self._add(api.llama_sampler_init_greedy())

    def draw(self, seed: int) -> None:
        """Pick by probability; the same 32-bit seed and logits give the same tokens."""
        self._add(api.llama_sampler_init_dist(seed))

    def _add(self, sampler: object) -> None:
        api.llama_sampler_chain_add(self._handle, sampler)

    def accept(self, token: int) -> None:
        """Tell the penalties about a token that was not sampled here, such as the prompt's."""
        api.llama_sampler_accept(self._handle, token)

    def sample(self, context: Context, row: int) -> int:
        """Pick a token from the logits of batch row `row` and accept it."""
        return int(api.llama_sampler_sample(self._handle, context.handle, row))
