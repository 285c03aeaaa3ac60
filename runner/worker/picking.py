"""How the next token of one request is picked from the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from native.llama import Context, Model
from native.sampler import SamplerChain
from runner.protocol import Generate, TokenLogprob
from runner.worker.sampling import build_chain

if TYPE_CHECKING:
    from runner.worker.constrain import Guide


@dataclass(frozen=True, slots=True)
class _Picked:
    token: int
    context: Context
    row: int


class Picker:
    """Sampler chain, constraint and log probabilities of one request."""

    def __init__(
        self, model: Model, chain: SamplerChain, guide: Guide | None, top_logprobs: int | None
    ) -> None:
        self._model = model
        self._chain = chain
        self._guide = guide
        self._top_logprobs = top_logprobs
        self._last: _Picked | None = None

    @classmethod
    def build(cls, model: Model, request: Generate, prompt: list[int]) -> Picker:
        """Raises Refused if the request asks for what this model does not have."""
        guide = None
        if request.constraint is not None:
            # Most workers never need it, nor numpy.
            from runner.worker.constrain import Guide

            guide = Guide(model, request.constraint)
        return cls(model, build_chain(model, request.sampling, prompt), guide, request.top_logprobs)

    @property
    def is_complete(self) -> bool:
        """The constraint is met and nothing may follow."""
        return self._guide is not None and self._guide.is_complete

    def pick(self, context: Context, row: int) -> int | None:
        """The next token, from batch row `row`; chain and constraint have accepted it. None if the constraint
        cannot be met."""
        if self._guide is None:
            token: int | None = self._chain.sample(context, row)
        else:
            token = self._guide.pick(self._chain, context, row)
        if self._top_logprobs is not None and token is not None:
            self._last = _Picked(token, context, row)
        return token

    def forced(self) -> list[int]:
        """Tokens that the constraint leaves no choice about after the last pick; accepted already. None are
        if log probabilities are asked for: only what is computed has one."""
        if self._guide is None or self._top_logprobs is not None:
            return []
        tokens = self._guide.forced()
        for token in tokens:
            self._chain.accept(token)
        return tokens

    def logprob(self) -> TokenLogprob | None:
        """Of the last pick, if the request asked for it. Valid until the next decode."""
        if self._last is None or self._top_logprobs is None:
            return None
        from runner.worker.logprobs import logprob

        logits = self._last.context.logits(self._last.row)
        return logprob(self._model, logits, self._last.token, self._top_logprobs)

    def close(self) -> None:
        self._chain.close()
