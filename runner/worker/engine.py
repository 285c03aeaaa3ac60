"""The engine: continuous batching over one llama.cpp context.

`step()` plans (batcher), decodes (native), samples, and reports; `submit` and `cancel` take effect at the
next step. It knows nothing of pipes, HTTP or templates.
"""

from __future__ import annotations

import time
from collections import deque

from native.errors import LlamaError
from native.llama import Context
from runner.protocol import Delta, Failed, Finished, Generate, Reason, Stepped
from runner.worker.batcher import Budget, Pending, plan
from runner.worker.detokenize import TextAssembler
from runner.worker.sampling import build_chain
from runner.worker.sequence import Sequence
from runner.worker.slots import Slot, choose


class Engine:
    """Runs the requests of one model. Single-threaded: the thread that made it owns it."""

    def __init__(self, context: Context, prefill_chunk_tokens: int) -> None:
        options = context.options
        self._context = context
        self._model = context.model
        self._context_length = min(options.context_length, context.sequence_context_length)
        self._slots = [Slot(index) for index in range(options.sequences)]
        self._waiting: deque[Sequence] = deque()
        self._budget = Budget(options.batch_tokens, prefill_chunk_tokens)
        self._deltas: list[Delta] = []
        self._finished: list[Finished] = []
        self._failed: list[Failed] = []

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._failed or self._finished or self._busy())

    def submit(self, request: Generate) -> None:
        """Queue a request; a bad one is reported as failed by the next step."""
        try:
            self._waiting.append(self._sequence(request))
        except LlamaError as error:
            self._failed.append(Failed(request.request_id, "invalid_request", str(error), 400))
        except _PromptTooLong as error:
            hint = "shorten it, or ask for a larger context (`num_ctx`, `context_length`)"
            code = "context_length_exceeded"
            self._failed.append(Failed(request.request_id, code, str(error), 400, hint))

    def cancel(self, request_id: str) -> None:
        """End a request where it stands. One that already ended is not an error: messages cross."""
        for sequence in self._waiting:
            if sequence.request_id == request_id:
                self._waiting.remove(sequence)
                self._report_end(sequence, "cancelled")
                return
        for slot in self._busy():
            if slot.sequence and slot.sequence.request_id == request_id:
                self._end(slot, "cancelled")
                return

    def step(self) -> Stepped:
        """Decode one batch and say what came of it. Raises LlamaError: then the context is lost."""
        self._admit()
        rows = self._decode()
        for slot, row in rows:
            self._advance(slot, row)
        stepped = Stepped(
            tuple(self._deltas),
            tuple(self._finished),
            tuple(self._failed),
            busy_slots=len(self._busy()),
            waiting=len(self._waiting),
            threads=self._context.threads,
        )
        self._deltas, self._finished, self._failed = [], [], []
        return stepped

    def _busy(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.sequence is not None]

    def _sequence(self, request: Generate) -> Sequence:
        tokens = self._tokenize(request)
        if len(tokens) >= self._context_length:
            raise _PromptTooLong(
                f"the prompt has {len(tokens)} tokens and the context {self._context_length}"
            )
        return Sequence(
            request_id=request.request_id,
            tokens=tokens,
            prompt_length=len(tokens),
            sampling=request.sampling,
            sampler=build_chain(self._model, request.sampling, tokens),
            text=TextAssembler(request.sampling.stop),
            submitted_at=time.perf_counter(),
        )

    def _tokenize(self, request: Generate) -> list[int]:
        tokens: list[int] = []
        for index, segment in enumerate(request.prompt):
            add_special = request.add_bos and index == 0
            tokens += self._model.tokenize(segment, add_special=add_special)
        if not tokens:
            # A model without BOS has nothing to continue from; its end token starts a fresh text.
            tokens = [self._model.bos_token if self._model.bos_token >= 0 else self._model.eos_token]
        return tokens

    def _admit(self) -> None:
        """Move waiting requests into free slots, first come, first served."""
        while self._waiting:
            choice = choose(self._slots, self._waiting[0].tokens)
            if choice is None:
                return
            slot, shared = choice
            sequence = self._waiting.popleft()
            reused = shared if self._context.keep_prefix(slot.index, shared) else 0
            sequence.computed = sequence.cached = reused
            sequence.started_at = time.perf_counter()
            slot.cached = sequence.tokens[:reused]
            slot.sequence = sequence

    def _decode(self) -> list[tuple[Slot, int]]:
        """Decode the planned batch; the slots that have logits now, each with its batch row."""
        batch = self._context.batch
        batch.clear()
        rows = []
        for index, count in plan(self._pending(), self._budget):
            slot = self._slots[index]
            sequence = slot.sequence
            if sequence is None:
                continue
            chunk = sequence.tokens[sequence.computed : sequence.computed + count]
            completes = count == sequence.pending
            row = batch.add(index, sequence.computed, chunk, output_last=completes)
            sequence.computed += count
            slot.cached += chunk
            if completes:
                rows.append((slot, row))
            else:
                self._report_prefill(sequence)
        if batch.struct.n_tokens:
            self._context.decode()
        return rows

    def _pending(self) -> list[Pending]:
        return [
            Pending(slot.index, slot.sequence.pending, slot.sequence.is_prefilling)
            for slot in self._slots
            if slot.sequence is not None
        ]

    def _advance(self, slot: Slot, row: int) -> None:
        """Pick the next token of a slot that has logits, and end the request if that was its last."""
        sequence = slot.sequence
        if sequence is None:
            return
        if sequence.first_token_at is None:
            sequence.first_token_at = time.perf_counter()
        if sequence.sampling.max_tokens == 0:
            self._end(slot, "length")
            return
        token = sequence.sampler.sample(self._context, row)
        if self._model.is_end(token):
            self._end(slot, "stop")
            return
        sequence.tokens.append(token)
        text = sequence.text.feed(self._model.piece(token))
        if sequence.text.stopped or self._is_full(sequence):
            self._end(slot, "stop" if sequence.text.stopped else "length", text)
        else:
            self._deltas.append(Delta(sequence.request_id, text, sequence.completion_length))

    def _is_full(self, sequence: Sequence) -> bool:
        limit = sequence.sampling.max_tokens
        return sequence.completion_length == limit or len(sequence.tokens) >= self._context_length

    def _report_prefill(self, sequence: Sequence) -> None:
        self._deltas.append(
            Delta(
                sequence.request_id,
                prompt_tokens_done=sequence.computed,
                prompt_tokens_total=sequence.prompt_length,
            )
        )

    def _end(self, slot: Slot, reason: Reason, text: str = "") -> None:
        sequence = slot.sequence
        if sequence is None:
            return
        slot.sequence = None
        text += sequence.text.flush()
        if text:
            self._deltas.append(Delta(sequence.request_id, text, sequence.completion_length))
        self._report_end(sequence, reason)

    def _report_end(self, sequence: Sequence, reason: Reason) -> None:
        now = time.perf_counter()
        started = sequence.started_at or now
        first = sequence.first_token_at or now
        sequence.sampler.close()
        self._finished.append(
            Finished(
                sequence.request_id,
                reason,
                prompt_tokens=sequence.prompt_length,
                cached_tokens=sequence.cached,
                completion_tokens=sequence.completion_length,
                queue_s=started - sequence.submitted_at,
                prefill_s=first - started,
                decode_s=now - first,
            )
        )


class _PromptTooLong(Exception):
    """The prompt leaves no room for a token in the context."""
