"""From a request to a sequence that can be admitted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from native.llama import Model
from runner.protocol import Failed, Generate
from runner.worker.detokenize import TextAssembler
from runner.worker.picking import Picker
from runner.worker.refused import Refused
from runner.worker.sequence import Prompt, Sequence

if TYPE_CHECKING:
    from native.vocabulary import Reading

# For each token of the context: few texts have tokens so long, and finding out how long they get takes time.
_MANY_CHARACTERS = 16
_GRAMMARS_S = 0.01


class Reception:
    """Reads prompts for slots of `context_length` tokens, and grammars for one vocabulary."""

    def __init__(self, model: Model, context_length: int) -> None:
        self._model = model
        self._context_length = context_length
        self._vocabulary: Reading | None = None

    def read(self, request: Generate) -> Prompt:
        """Only looks at the vocabulary: any thread may call it. Raises LlamaError, Refused."""
        self._check_size(request)
        return self._tokenize(request)

    def sequence(self, request: Generate, prompt: Prompt) -> Sequence:
        """Raises Refused if it does not fit, or asks for what this model does not have; LlamaError."""
        if len(prompt.tokens) + request.room_tokens > self._context_length:
            raise self._too_long(len(prompt.tokens))
        return Sequence(
            request,
            tokens=prompt.tokens,
            prompt_length=len(prompt.tokens),
            kept=prompt.kept,
            picker=Picker(self._model, request, prompt.tokens),
            text=TextAssembler(request.sampling.stop),
            submitted_at=time.perf_counter(),
        )

    def prepare(self, sequences: list[Sequence]) -> Iterator[tuple[Sequence, Failed]]:
        """Guides for those with constraints, once the vocabulary has been read; those that get none. The
        others need not wait: of large grammars, which take up to 0.3 s, each step reads one."""
        if self._vocabulary is None:
            # Most workers never need it.
            from native.vocabulary import reading

            self._vocabulary = reading(self._model)
        if (tokenizer := next(self._vocabulary)) is None:
            return
        from runner.worker.constrain import Guide

        enough_at_s = time.perf_counter() + _GRAMMARS_S
        for sequence in sequences:
            if time.perf_counter() > enough_at_s:
                break
            try:
                if (constraint := sequence.request.constraint) is not None:
                    sequence.picker.guide = Guide(self._model, tokenizer, constraint)
            except Refused as error:
                sequence.picker.close()
                yield sequence, error.of(sequence.request_id)

    def _check_size(self, request: Generate) -> None:
        """Refuse, unread, what cannot fit: reading megabytes takes seconds, in which nobody gets a token.
        Requests that ask for more room than there is want their prompt counted."""
        characters = request.characters
        is_counted = request.room_tokens >= self._context_length
        if not is_counted and characters > _MANY_CHARACTERS * self._context_length:
            least_tokens = characters // self._model.longest_token_characters
            if least_tokens > self._context_length:
                raise self._too_long(least_tokens, "at least ")

    def _tokenize(self, request: Generate) -> Prompt:
        tokens: list[int] = []
        kept, characters = 0, request.kept_characters
        for index, segment in enumerate(request.prompt):
            add_special = request.add_bos and index == 0
            if beginning := segment[:characters]:
                kept = len(tokens) + len(self._model.tokenize(beginning, add_special=add_special))
                characters -= len(beginning)
            tokens += self._model.tokenize(segment, add_special=add_special)
        if not tokens:
            # A model without BOS has nothing to continue from; its end token starts a fresh text.
            tokens = [self._model.bos_token if self._model.bos_token >= 0 else self._model.eos_token]
        if request.kept_tokens is not None:
            kept = request.kept_tokens if request.kept_tokens >= 0 else len(tokens)
        return Prompt(tokens, kept)

    def _too_long(self, prompt_tokens: int, how: str = "") -> Refused:
        is_shortened = self._context_length < self._model.trained_context_length
        larger = ", or ask for a larger context (`num_ctx`, `context_length`)" if is_shortened else ""
        return Refused(
            f"the prompt has {how}{prompt_tokens} tokens and the context {self._context_length}",
            "context_length_exceeded",
            f"shorten it or leave out the oldest turns (`overflow`){larger}",
            prompt_tokens,
            self._context_length,
        )
