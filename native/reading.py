"""Long prompts for a context without flash attention: read with it.

Where heads are short, a context without flash attention decodes a token up to 2.8 times as fast, and takes
1.1 to 1.3 times as long for a prompt of 2,000. So one context reads, up to the logits of the first token;
then the state goes over, and the other one decodes.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace

from native import state
from native.batch import Part
from native.errors import LlamaError
from native.llama import Context, ContextOptions, Model
from native.turning import turned

LEAST_TOKENS = 512
"""Of fewer, making a context and turning the state takes the time that is won."""
MOST_BYTES = 128 * 2**20
"""Of a state that goes over. It is in memory twice meanwhile: as it was, and turned."""
_CACHE_STEP_TOKENS = 256


def can_read(model: Model, options: ContextOptions) -> bool:
    """Whether flash attention has fast kernels for these types, and the cache is one whose states can be
    turned."""
    is_plain = not model.is_recurrent and not model.sliding_window
    return options.flash_attention is False and is_plain and options.kv_type_k == options.kv_type_v


class ReadingContext(Context):
    """A context without flash attention. While a long prompt is read, its sequence is in another one, made
    for it; what else is asked of the sequence brings it back first."""

    def __init__(
        self,
        model: Model,
        options: ContextOptions,
        least_tokens: int = LEAST_TOKENS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Raises LlamaError if the buffers cannot be had."""
        self._least_tokens = least_tokens
        self._reader: Context | None = None
        # Whose sequence is there, and up to which position.
        self._sequence = self._length = 0
        self._has_logits_apart = False
        self._is_able, self._is_proven = True, False
        super().__init__(model, options)
        self._token_bytes = model.kv_numbers * (4 if options.kv_type_k == "f32" else 2)
        self._most_tokens = most_bytes // self._token_bytes

    @property
    def unlisted_bytes(self) -> int:
        return 2 * self._token_bytes * min(self.options.context_length, self._most_tokens)

    def handle_of(self, sequence: int) -> object:
        if sequence == self._sequence:
            self._bring_back()
        return super().handle_of(sequence)

    def set_threads(self, threads: int, prefill_threads: int) -> None:
        super().set_threads(threads, prefill_threads)
        if self._reader is not None:
            self._reader.set_threads(threads, prefill_threads)

    @property
    def logits_handle(self) -> object:
        return self._reader.handle if self._reader and self._has_logits_apart else self.handle

    def gather(self) -> None:
        self._bring_back()

    def decode(self) -> bool:
        parts = self.batch.parts
        self._has_logits_apart = len(parts) == 1 and self._reads_apart(parts[0])
        if self._has_logits_apart:
            return True
        if any(part.sequence == self._sequence for part in parts):
            self._bring_back()
        return super().decode()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        super().close()

    def _reads_apart(self, part: Part) -> bool:
        """Decode what is alone in the batch in the other context. False, with nothing changed, where that is
        not faster."""
        # Smaller parts, but for a prompt's last, are read beside streams: too few rows for flash attention.
        is_large = part.count >= self.options.batch_tokens // 2 or part.position + part.count == part.end
        if not is_large or (reader := self._reader_for(part)) is None:
            return False
        reader.batch.clear()
        reader.batch.add(0, part.position, self.batch.tokens_of(part), part.outputs)
        reader.decode()
        self._is_proven = self._is_proven or self._can_come_back(reader)
        return self._is_proven

    def _reader_for(self, part: Part) -> Context | None:
        behind, length = part.position + part.count, min(part.end, self._most_tokens)
        if self._reader is not None and part.sequence == self._sequence and behind <= self._length:
            return self._reader
        # It begins with a whole batch: chunks that are now larger, now smaller, must not go to and fro.
        is_worth = part.count == self.options.batch_tokens and length - part.position >= self._least_tokens
        if not self._is_able or behind > length or not is_worth:
            return None
        return self._send(part.sequence, part.position, length)

    def _send(self, sequence: int, position: int, length: int) -> Context | None:
        """The other context, with what the sequence has read so far; None if there can be none."""
        self._bring_back()
        try:
            sent = turned(state.save(self, sequence), 1) if position else None
            reader = Context(self.model, self._reading_options(length))
        except (LlamaError, ValueError) as error:
            self._give_up(error)
            return None
        if sent and not state.restore(reader, 0, sent):
            reader.close()
            self._give_up("llama.cpp refuses the turned state")
            return None
        self._reader, self._sequence, self._length = reader, sequence, length
        return reader

    def _reading_options(self, length: int) -> ContextOptions:
        return replace(
            self.options,
            context_length=-(-length // _CACHE_STEP_TOKENS) * _CACHE_STEP_TOKENS,
            sequences=1,
            threads=self.threads,
            prefill_threads=self.prefill_threads,
            draft_tokens=0,
            flash_attention=True,
            micro_batch_tokens=None,
            output_tokens=1,
        )

    def _can_come_back(self, reader: Context) -> bool:
        """Tried the first time, while all that can be lost has just been read."""
        self._reader = None
        try:
            self._restore(turned(state.save(reader, 0), self.options.sequences))
        except ValueError as error:
            reader.close()
            self._give_up(error)
            return False
        self._reader = reader
        return True

    def _bring_back(self) -> None:
        if self._reader is None:
            return
        with closing(self._reader) as reader:
            self._reader = None
            there = state.save(reader, 0)
        self._restore(turned(there, self.options.sequences))

    def _restore(self, back: bytearray) -> None:
        if not state.restore(self, self._sequence, back):
            raise LlamaError("llama.cpp refuses the state of a prompt that was read with flash attention")

    def _give_up(self, why: object) -> None:
        self._is_able = False
        sys.stderr.write(f"long prompts are read without flash attention: {why}\n")
