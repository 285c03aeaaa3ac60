"""How many prompt tokens a step may take while somebody generates: found by measuring steps.

A step lasts as long as its slowest part, so the prompt tokens in it are a pause for every stream that runs.
How long a token takes depends on the model, the machine and how full the context is.
"""

from __future__ import annotations

_LEAST_CHUNK_TOKENS = 16
"""Fewer gain little: a step costs a full pass over the weights, however few tokens are in it."""
_FIRST_CHUNK_TOKENS = 64
_NEWEST_WEIGHT = 0.3


class Pace:
    """Pure: measured steps in, chunk size out."""

    def __init__(self, step_s: float, batch_tokens: int) -> None:
        """Steps should last `step_s` at most; 0 is no limit but the batch."""
        self._step_s = step_s
        self._batch_tokens = batch_tokens
        self._decode_s: float | None = None
        self._token_s: float | None = None

    def observe(self, step_s: float, generating: int, prompt_tokens: int) -> None:
        """A step lasted `step_s` with `generating` streams and `prompt_tokens` tokens of prompts."""
        if not prompt_tokens:
            self._decode_s = _blend(self._decode_s, step_s)
        elif prompt_tokens >= _LEAST_CHUNK_TOKENS:
            decode_s = (self._decode_s or 0.0) if generating else 0.0
            self._token_s = _blend(self._token_s, max(0.0, step_s - decode_s) / prompt_tokens)

    @property
    def chunk_tokens(self) -> int:
        """Prompt tokens for a step in which somebody generates."""
        if not self._step_s:
            return self._batch_tokens
        if not self._token_s:
            return min(_FIRST_CHUNK_TOKENS, self._batch_tokens)
        affordable = int((self._step_s - (self._decode_s or 0.0)) / self._token_s)
        # Kernels work on groups of rows: a few tokens more cost as much as the whole group.
        whole = affordable // _LEAST_CHUNK_TOKENS * _LEAST_CHUNK_TOKENS
        return min(max(whole, _LEAST_CHUNK_TOKENS), self._batch_tokens)


def _blend(before: float | None, new: float) -> float:
    return new if before is None else before + _NEWEST_WEIGHT * (new - before)
