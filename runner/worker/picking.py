"""How the next token of one request is picked from the logits."""

from __future__ import annotations

from native.llama import Context, Model
from native.sampler import SamplerChain
from runner.protocol import Generate, TokenLogprob
from runner.worker.sampling import build_chain


class Picker:
    """The sampler chain of one request."""

    def __init__(self, chain: SamplerChain) -> None:
        self.is_complete = False
        self._chain = chain

    @classmethod
    def build(cls, model: Model, request: Generate, prompt: list[int]) -> Picker:
        return cls(build_chain(model, request.sampling, prompt))

    def pick(self, context: Context, row: int) -> int:
        """The next token, from batch row `row`; the chain has accepted it."""
        return self._chain.sample(context, row)

    def forced(self) -> list[int]:
        """Tokens that must follow the last pick; accepted already."""
        return []

    def logprob(self) -> TokenLogprob | None:
        """Of the last pick, if the request asked for it."""
        return None

    def close(self) -> None:
        self._chain.close()
