"""State of one request from submission to its last token."""

from __future__ import annotations

from dataclasses import dataclass

from native.sampler import SamplerChain
from runner.protocol import Sampling
from runner.worker.detokenize import TextAssembler


@dataclass(slots=True)
class Sequence:
    """`tokens` is the prompt, then what was generated; the first `computed` of them are in the KV cache.

    Times are readings of one monotonic clock, in seconds; None until they happen.
    """

    request_id: str
    tokens: list[int]
    prompt_length: int
    sampling: Sampling
    sampler: SamplerChain
    text: TextAssembler
    submitted_at: float
    computed: int = 0
    cached: int = 0
    started_at: float | None = None
    first_token_at: float | None = None

    @property
    def is_prefilling(self) -> bool:
        return self.computed < self.prompt_length

    @property
    def completion_length(self) -> int:
        return len(self.tokens) - self.prompt_length

    @property
    def pending(self) -> int:
        """Tokens that wait to be decoded: the rest of the prompt, or the one sampled last."""
        return len(self.tokens) - self.computed
