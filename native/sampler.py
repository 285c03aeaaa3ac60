"""Sampler chains: how the next token is picked from the logits, in C."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

from native.binding import api
from native.errors import NotFinite
from native.handle import Owner
from native.llama import Context, Model

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_shortlist: Callable[[NDArray[np.float32], int], NDArray[Any]] | None = None


def hasten() -> None:
    """From now on, pick from shortlists: faster with large vocabularies. They need numpy: a tenth of a second
    that a first answer should not wait for."""
    global _shortlist
    from native.shortlist import shortlist

    _shortlist = shortlist


class SamplerChain(Owner):
    """Samplers applied in the order they were added; the last one must pick (`greedy`, `draw`, `mirostat`).

    Numbers must be in the ranges of `runner.wire.Options`: llama.cpp checks none. `last_tokens` of memory are
    allocated as they are asked for.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._vocabulary_size = model.vocabulary_size
        # So many tokens at most have been made less likely by what the chain begins with; None once anything
        # else was done to any token.
        self._demoted: int | None = 0
        # So many of the most likely tokens decide what the chain picks; None if all have a say.
        self._decisive: int | None = None
        chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
        super().__init__(chain, api.llama_sampler_free)

    def bias(self, biases: list[tuple[int, float]]) -> None:
        """Add to the logits of tokens; minus infinity forbids one."""
        array = (api.llama_logit_bias * len(biases))(*biases)
        sampler = api.llama_sampler_init_logit_bias(self._vocabulary_size, len(biases), array)
        self._add(sampler, demotes=len(biases) if all(bias <= 0 for _, bias in biases) else None)

    def penalties(self, last_tokens: int, repeat: float, frequency: float, presence: float) -> None:
        """Penalise tokens seen in the `last_tokens` latest ones: `repeat` 1 is off, the others 0."""
        sampler = api.llama_sampler_init_penalties(
            self._vocabulary_size, last_tokens, repeat, frequency, presence
        )
        is_demoting = repeat >= 1 and frequency >= 0 and presence >= 0
        self._add(sampler, demotes=last_tokens if is_demoting else None)

    def dry(
        self, last_tokens: int, multiplier: float, base: float, allowed_length: int, breakers: tuple[str, ...]
    ) -> None:
        """Penalise what would continue a repetition of more than `allowed_length` tokens, by
        `multiplier` * `base` ** (its length - `allowed_length`). None goes past one of `breakers`."""
        texts = (ctypes.c_char_p * len(breakers))(*[text.encode("utf-8", "replace") for text in breakers])
        self._add(
            api.llama_sampler_init_dry(
                self._model.vocabulary, multiplier, base, allowed_length, last_tokens, texts, len(breakers)
            )
        )

    def top_n_sigma(self, deviations: float) -> None:
        """Keep tokens whose logit is within so many standard deviations of the best."""
        self._add(api.llama_sampler_init_top_n_sigma(deviations))

    def top_k(self, count: int) -> None:
        self._decide_by(count)
        self._add(api.llama_sampler_init_top_k(count))

    def typical(self, probability: float) -> None:
        """Keep the tokens with the most typical information, up to this probability together."""
        self._add(api.llama_sampler_init_typical(probability, 1))

    def top_p(self, probability: float) -> None:
        self._add(api.llama_sampler_init_top_p(probability, 1))

    def min_p(self, ratio: float) -> None:
        self._add(api.llama_sampler_init_min_p(ratio, 1))

    def xtc(self, probability: float, threshold: float, seed: int) -> None:
        """With `probability`, drop all tokens above `threshold` but the least likely of them."""
        self._add(api.llama_sampler_init_xtc(probability, threshold, 1, seed))

    def temperature(self, temperature: float) -> None:
        self._add(api.llama_sampler_init_temp(temperature))

    def greedy(self) -> None:
        self._decide_by(1)
        self._add(api.llama_sampler_init_greedy())

    def draw(self, seed: int) -> None:
        """Pick by probability; the same 32-bit seed and logits give the same tokens."""
        self._add(api.llama_sampler_init_dist(seed))

    def mirostat(self, version: int, tau: float, eta: float, seed: int) -> None:
        """Pick so that the surprise stays near `tau` bits, learning at rate `eta`; version 1 or 2."""
        if version == 1:
            # 100 tokens to estimate the slope of the distribution from, as in the paper.
            self._add(api.llama_sampler_init_mirostat(self._vocabulary_size, seed, tau, eta, 100))
        else:
            self._add(api.llama_sampler_init_mirostat_v2(seed, tau, eta))

    def _decide_by(self, count: int) -> None:
        """The next sampler keeps the `count` most likely tokens of what it is given."""
        if count > 0 and self._decisive is None and self._demoted is not None:
            # As many others as were demoted may take their place.
            self._decisive = count + self._demoted

    def _add(self, sampler: object, demotes: int | None = None) -> None:
        """`demotes`: at most so many tokens become less likely, and nothing else changes."""
        if self._demoted is not None:
            self._demoted = None if demotes is None else self._demoted + demotes
        api.llama_sampler_chain_add(self.handle, sampler)

    def accept(self, token: int) -> None:
        """Tell the penalties about a token that `sample` did not pick, such as the prompt's."""
        api.llama_sampler_accept(self.handle, token)

    def sample(self, context: Context, row: int) -> int:
        """Pick a token from the logits of batch row `row` and accept it. Raises NotFinite, and LlamaError if
        the row has none."""
        if self._decisive is not None and _shortlist is not None:
            return self.sample_from(_shortlist(context.logits(row), self._decisive))
        logits = context.logits_at(row)  # without them, llama.cpp would end the process
        token = int(api.llama_sampler_sample(self.handle, context.handle, row))
        if math.isnan(logits[token]):
            raise NotFinite
        return token

    def sample_from(self, candidates: NDArray[Any]) -> int:
        """Pick one of `candidates`, at least one record of (int32 token, float32 logit, float32 zero), and
        accept it. The array is scratch memory from then on. Raises NotFinite if there are none, or it has
        picked one whose logit is no number."""
        if not len(candidates):
            raise NotFinite
        first = api.llama_token_data.from_buffer(candidates)
        choice = api.llama_token_data_array(ctypes.pointer(first), len(candidates), -1, False)
        api.llama_sampler_apply(self.handle, ctypes.byref(choice))
        picked = choice.data[choice.selected]
        if math.isnan(picked.logit):
            raise NotFinite
        token = int(picked.id)
        self.accept(token)
        return token
