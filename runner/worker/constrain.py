"""Output that must match a grammar: which tokens may come next."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

from native import guidance
from native.llama import Context, Model
from native.sampler import SamplerChain
from runner.protocol import Constraint
from runner.worker.refused import Refused
from runner.worker.trigger import Tail, Trigger

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# Free output that runs into a trigger with the wrong characters behind it is picked again so many times.
_MOST_REPICKS = 32
# One thread: masks take a fraction of a decode, and the processors are the model's.
_beside = ThreadPoolExecutor(1, "mask")


class Guide:
    """The grammar of one request and how far its output has come in it."""

    def __init__(self, model: Model, tokenizer: LLTokenizer, constraint: Constraint) -> None:
        """Raises Refused if the grammar cannot be used, or does not begin with its triggers."""
        self._model = model
        self._tokenizer = tokenizer
        try:
            self._matcher = guidance.matcher(self._tokenizer, constraint.grammar)
        except guidance.GrammarError as error:
            raise Refused(str(error), "invalid_constraint") from error
        self._trigger = Trigger(constraint.triggers) if constraint.triggers else None
        self._mask: Future[bytes] | None = None
        self._ids = np.arange(model.vocabulary_size, dtype=np.int32)
        self._candidates = np.zeros(model.vocabulary_size, _CANDIDATE)
        for text in constraint.triggers:
            if not self._accepted(Tail(text.encode())):
                raise Refused(
                    f"no text of the constraint begins with its trigger {text!r}", "invalid_constraint"
                )

    @property
    def is_complete(self) -> bool:
        """The output matches, and nothing can follow."""
        return self._trigger is None and self._matcher.is_stopped() and self._matcher.is_accepting()

    def begin(self) -> None:
        """Compute what may come next beside the decode whose logits decide; both do without the GIL. From
        here to `pick` the grammar belongs to that thread."""
        if self._trigger is None:
            self._mask = _beside.submit(self._matcher.compute_bitmask)

    def pick(self, chain: SamplerChain, context: Context, row: int) -> int | None:
        """The next token, accepted by the chain and the grammar. None if no token can follow: the output does
        not match and never will. Raises Refused if what can follow takes too much to compute."""
        if self._trigger is not None:
            return self._pick_freely(chain, context, row, self._trigger)
        mask, self._mask = self._mask, None
        bits = np.frombuffer(mask.result() if mask else self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            if words := guidance.excess(self._matcher):
                raise Refused(f"the constraint takes too much to compute: {words}", "invalid_constraint")
            return None
        allowed = np.unpackbits(bits, count=len(self._ids), bitorder="little").view(np.bool_)
        token = self._pick_among(allowed, chain, context.logits(row))
        return token if token is not None and self._matcher.consume_token(token) else None

    def forced(self) -> list[int]:
        """Tokens that must follow, accepted by the grammar."""
        if self._trigger is not None:
            return []
        tokens = self._matcher.compute_ff_tokens()
        return tokens if tokens and self._matcher.consume_tokens(tokens) else []

    def _pick_among(
        self, allowed: NDArray[np.bool_], chain: SamplerChain, logits: NDArray[np.float32]
    ) -> int | None:
        """The chain sees no other tokens: some samplers go wrong with logits of minus infinity."""
        ids = self._ids[allowed]
        if not len(ids):
            return None
        candidates: NDArray[Any] = self._candidates[: len(ids)]
        candidates["id"], candidates["logit"], candidates["p"] = ids, logits[allowed], 0
        return chain.sample_from(candidates)

    def _pick_freely(self, chain: SamplerChain, context: Context, row: int, trigger: Trigger) -> int | None:
        """Any token, but none that ends a trigger with characters that the grammar does not allow there."""
        token: int | None = chain.sample(context, row)
        allowed = np.ones(len(self._ids), np.bool_)
        for _ in range(_MOST_REPICKS):
            if token is None or self._model.is_end(token):
                return token
            tail = trigger.feed(token, self._model.piece(token) or self._model.token_text(token).encode())
            if tail is None:
                return token
            if tokens := self._accepted(tail):
                self._trigger = None
                return token if self._matcher.consume_tokens(tokens) else None
            trigger.forget()
            allowed[token] = False
            token = self._pick_among(allowed, chain, context.logits(row))
        return None

    def _accepted(self, tail: Tail) -> list[int] | None:
        """The tail of the output as tokens that the grammar can begin with: as they came, so that it may name
        control tokens, or else as plain text."""
        for tokens in (
            tail.tokens,
            self._tokenizer.tokenize_bytes(tail.text, parse_special=True),
            self._tokenizer.tokenize_bytes(tail.text),
        ):
            if tokens and self._matcher.validate_tokens(tokens) == len(tokens):
                return tokens
        return None
