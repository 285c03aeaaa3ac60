"""How the next token of one request is picked from the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from native.llama import Context, Model
from runner.protocol import Generate, TokenLogprob
from runner.worker.sampling import build_chain

if TYPE_CHECKING:
    from runner.worker.constrain import Guide


class Picker:
    """Sampler chain, constraint and log probabilities of one request. One with a constraint must get its
    `guide` before the first pick."""

    def __init__(self, model: Model, request: Generate, prompt: list[int]) -> None:
        """Raises Refused if the request asks for what this model does not have."""
        self._model = model
        self._chain = build_chain(model, request.sampling, prompt)
        self.guide: Guide | None = None
        self._top_logprobs = request.top_logprobs
        self._last: tuple[int, Context, int] | None = None

    @property
    def is_complete(self) -> bool:
        """The constraint is met and nothing may follow."""
        return self.guide is not None and self.guide.is_complete

    def pick(self, context: Context, row: int) -> int | None:
        """The next token, from batch row `row`; chain and constraint have accepted it. None if the constraint
        cannot be met. Raises NotFinite."""
        if self.guide is None:
            token: int | None = self._chain.sample(context, row)
        else:
            token = self.guide.pick(self._chain, context, row)
        if self._top_logprobs is not None and token is not None:
            self._last = token, context, row
        return token

    def forced(self) -> list[int]:
        """Tokens that the constraint leaves no choice about after the last pick; accepted already. None are
        if log probabilities are asked for: only what is computed has one."""
        if self.guide is None or self._top_logprobs is not None:
            return []
        tokens = self.guide.forced()
        for token in tokens:
            self._chain.accept(token)
        return tokens

    def logprob(self) -> TokenLogprob | None:
        """Of the last pick, if the request asked for it. Valid until the next decode."""
        if self._last is None or self._top_logprobs is None:
            return None
        from runner.worker.logprobs import logprob

        token, context, row = self._last
        return logprob(self._model, context.logits(row), token, self._top_logprobs)

    def close(self) -> None:
        self._chain.close()
