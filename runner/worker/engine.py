"""The engine: continuous batching over one llama.cpp context.

`step()` admits (admission), has long prompts read apart (apart), guesses (speculate), plans (batcher),
decodes (native), picks tokens (picking), and reports (outcome); `submit` and `cancel` take effect at the next
step. It knows nothing of pipes, HTTP or templates.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Seq

from native.errors import LlamaError, NotFinite
from native.llama import Context
from runner.protocol import Failed, Generate, Reason, Stepped, TokenLogprob
from runner.worker.admission import Admission
from runner.worker.apart import Apart, Busy
from runner.worker.batcher import Batcher, Pending
from runner.worker.drafting.drafter import Drafter
from runner.worker.outcome import Outcome
from runner.worker.pace import FLASH_TILE_TOKENS, PLAIN_TILE_TOKENS, Pace
from runner.worker.prefix.caches import PrefixLimits
from runner.worker.reception import Reception
from runner.worker.refused import Refused, Unreadable
from runner.worker.sequence import Prompt, Sequence
from runner.worker.shifting import shift
from runner.worker.slots import Slot
from runner.worker.speculate import Speculation

# Reading fewer takes no time that is worth a word, also on a slow machine.
_LONG_TOKENS = 128
# While a prompt is read apart: how soon a command is seen.
_LOOK_S = 0.05


class Engine:
    """Runs the requests of one model. Single-threaded: the thread that made it owns it."""

    def __init__(
        self,
        context: Context,
        prefill_step_s: float,
        prefixes: PrefixLimits | None = None,
        drafter: Drafter | None = None,
        apart: Apart | None = None,
    ) -> None:
        options = context.options
        self._context = context
        self._model = context.model
        self._context_length = min(options.context_length, context.sequence_context_length)
        self._slots = [Slot(index) for index in range(options.sequences)]
        self._waiting: deque[Sequence] = deque()
        self._reception = Reception(context.model, self._context_length)
        self._admission = Admission(context, self._slots, prefixes)
        self._speculation = Speculation(context, drafter)
        tile_tokens = PLAIN_TILE_TOKENS if options.flash_attention is False else FLASH_TILE_TOKENS
        self._pace = Pace(prefill_step_s, options.batch_tokens, tile_tokens)
        self._batcher = Batcher(options.batch_tokens, tile_tokens)
        self._apart = apart or Apart(context, 0)
        self._ended_at = 0.0
        self._outcome = Outcome()

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._outcome.has_ends or self._busy())

    def read(self, request: Generate) -> Prompt:
        """Only looks at the vocabulary: any thread may call it. Raises LlamaError, Refused."""
        return self._reception.read(request)

    def submit(self, request: Generate, tokens: Callable[[], Prompt] | None = None) -> None:
        """Queue a request; a bad one is reported as failed by the next step. `tokens` stands for `read`."""
        try:
            prompt = tokens() if tokens else self.read(request)
            self._waiting.append(self._reception.sequence(request, prompt))
        except LlamaError as error:
            self._outcome.failed(Failed(request.request_id, "invalid_request", str(error), 400))
        except Refused as error:
            self._outcome.failed(error.of(request.request_id))

    def cancel(self, request_id: str) -> None:
        """End a request where it stands. One that already ended is not an error: messages cross."""
        for sequence in self._waiting:
            if sequence.request_id == request_id:
                self._waiting.remove(sequence)
                self._close(sequence, "cancelled")
                return
        for slot, sequence in self._busy():
            if sequence.request_id == request_id:
                self._end(slot, sequence, "cancelled")
                return

    def step(self) -> Stepped:
        """Decode one batch and say what came of it. Where only prompts are there, and a long one, that they
        are read is said first: the decode may take seconds. Raises LlamaError: then the context is lost."""
        self._come_home()
        if unready := [sequence for sequence in self._waiting if not sequence.is_ready]:
            for sequence, refused in self._reception.prepare(unready):
                self._waiting.remove(sequence)
                self._outcome.failed(refused)
        admitted = self._admission.admit(self._waiting)
        if self._waiting:
            self._outcome.queued(self._waiting)
        if len(admitted) == len(self._busy()) and any(each.pending >= _LONG_TOKENS for each in admitted):
            for sequence in admitted:
                self._outcome.prefilled(sequence)
            return self._outcome.take(len(admitted), len(self._waiting), self._context.threads)
        for slot, sequence, row in self._decode():
            try:
                self._advance(slot, sequence, row)
            except NotFinite:
                self._fail(slot, sequence, Unreadable())
            except Refused as error:
                self._fail(slot, sequence, error)
        return self._outcome.take(len(self._busy()), len(self._waiting), self._context.threads)

    def use_idle_time(self) -> bool:
        """While nobody waits: a decode's worth of measuring. False if there is nothing left to measure."""
        self._come_home()
        return self._speculation.use_idle_time(self._slots)

    def _come_home(self) -> None:
        if self._apart.come_home():
            self._admission.take_checkpoints()

    def _busy(self) -> list[tuple[Slot, Sequence]]:
        return [(slot, sequence) for slot in self._slots if (sequence := slot.sequence) is not None]

    # One step

    def _decode(self) -> list[tuple[Slot, Sequence, int]]:
        """Decode what is due; the slots that have logits now, each with the first of its rows."""
        rows = self._read_apart()
        if others := self._apart.others(self._busy()):
            if self._is_due():
                with self._apart.paused():
                    rows += self._decode_batch(others)
                self._ended_at = time.perf_counter()
        elif not rows:
            self._apart.wait(_LOOK_S)
        if (sequence := self._apart.go_on(self._busy())) is not None:
            self._outcome.prefilled(sequence)
        return rows

    def _read_apart(self) -> list[tuple[Slot, Sequence, int]]:
        """What has been decoded of the prompt that is read apart."""
        if (taken := self._apart.take()) is None:
            return []
        slot, sequence, row = taken
        self._speculation.read(sequence)
        return [] if row is None else [(slot, sequence, row)]

    def _is_due(self) -> bool:
        """Whether those who are not read apart have their turn; waits for a while until they do."""
        if not self._apart.is_computing:
            return True
        wait_s = self._ended_at + self._pace.rest_s - time.perf_counter()
        self._apart.wait(min(max(0.0, wait_s), _LOOK_S))
        return wait_s <= _LOOK_S

    def _decode_batch(self, others: Busy) -> list[tuple[Slot, Sequence, int]]:
        busy, is_reading = self._next(others)
        for slot, sequence in busy:
            if len(sequence.tokens) >= self._context_length:
                shift(self._context, slot, sequence)
                # What was learned by position stands elsewhere now.
                self._speculation.ended(sequence)
        self._speculation.draft(busy)
        batch, by_index = self._context.batch, {slot.index: (slot, sequence) for slot, sequence in busy}
        batch.clear()
        rows = []
        started = time.perf_counter()
        for index, count in self._plan(busy, is_reading=is_reading):
            slot, sequence = by_index[index]
            row = self._add(slot, sequence, count)
            if is_reading:
                self._outcome.prefilled(sequence)
            if row is not None:
                rows.append((slot, sequence, row))
        for _, sequence, _ in rows:
            if guide := sequence.picker.guide:
                guide.begin()
        if batch.struct.n_tokens:
            self._run(is_reading=is_reading)
            self._observe(batch.struct.n_tokens, time.perf_counter() - started, is_reading=is_reading)
            self._admission.take_checkpoints()
            self._speculation.follow(self._slots)
        return rows

    def _run(self, *, is_reading: bool) -> None:
        """Decode the batch, beside a prompt that rests with the threads that are best then."""
        context, threads = self._context, (self._context.threads, self._context.prefill_threads)
        if is_reading or not self._apart.is_computing:
            context.decode()
            return
        fewer = self._pace.step_threads(context.threads)
        context.set_threads(fewer, fewer)
        context.decode()
        context.set_threads(*threads)

    def _observe(self, tokens: int, step_s: float, *, is_reading: bool) -> None:
        is_usual = not self._apart.is_computing
        self._pace.observe(step_s, tokens if is_reading else 0, is_usual=is_usual)
        if is_usual and not is_reading:
            self._speculation.observe(tokens, step_s)

    def _next(self, busy: Busy) -> tuple[Busy, bool]:
        """Those whose turn it is, and whether they are reading their prompts."""
        prompts = [each for each in busy if each[1].is_prefilling]
        if self._batcher.reads_next(len(busy) - len(prompts), len(prompts)):
            return prompts, True
        return [each for each in busy if not each[1].is_prefilling] if prompts else busy, False

    def _plan(self, busy: Busy, *, is_reading: bool) -> list[tuple[int, int]]:
        pending = [Pending(slot.index, sequence.due + len(sequence.draft)) for slot, sequence in busy]
        if not is_reading:
            return self._batcher.generation(pending)
        is_alone = len(busy) == len(self._busy())
        return self._batcher.reading(pending, None if is_alone else self._pace.chunk_tokens)

    def _add(self, slot: Slot, sequence: Sequence, count: int) -> int | None:
        """Put `count` tokens into the batch. The row of the first logits; None if the prompt goes on."""
        start, pending = sequence.computed, sequence.pending
        guesses = max(0, count - pending)
        del sequence.draft[guesses:]
        chunk = sequence.tokens[start : start + min(count, pending)]
        outputs = guesses + 1 if count >= pending else 0
        end = self._context.batch.add(slot.index, start, chunk + sequence.draft, outputs)
        sequence.computed += len(chunk)
        slot.cached.extend(chunk)
        return end - outputs if outputs else None

    def _advance(self, slot: Slot, sequence: Sequence, row: int) -> None:
        """Pick tokens as far as there are logits: one, and one more for each guess that was right."""
        if sequence.first_token_at is None:
            sequence.first_token_at = time.perf_counter()
        if sequence.request.sampling.max_tokens == 0:
            self._end(slot, sequence, "length")
            return
        guesses, sequence.draft = sequence.draft, []
        text, logprobs = "", list[TokenLogprob]()
        reason: Reason | None = None
        right = 0
        context = self._apart.context_of(slot)
        while True:
            token = sequence.picker.pick(context, row + right)
            if token is None:
                reason = "length"
                break
            is_guessed = right < len(guesses) and token == guesses[right]
            if self._model.is_end(token) and not sequence.request.sampling.ignore_eos:
                reason = "stop"
                break
            forced = sequence.picker.forced()
            more, reason = self._take(sequence, [token, *forced])
            text += more
            if logprob := sequence.picker.logprob():
                logprobs.append(logprob)
            # What a constraint put in is not what was guessed and decoded behind this row.
            if reason or forced or not is_guessed:
                break
            right += 1
        if guesses:
            self._settle(slot, sequence, guesses, right)
        if reason:
            self._end(slot, sequence, reason, text, logprobs)
        else:
            self._outcome.text(sequence, text, logprobs)

    def _take(self, sequence: Sequence, tokens: list[int]) -> tuple[str, Reason | None]:
        """Append picked tokens: their text, and why the request ends with them."""
        text = ""
        for taken, token in enumerate(tokens, 1):
            sequence.tokens.append(token)
            text += sequence.text.feed(self._model.piece(token))
            if sequence.text.stopped_by or (taken == len(tokens) and sequence.picker.is_complete):
                return text, "stop"
            if self._is_full(sequence, taken):
                return text, "length"
        return text, None

    def _settle(self, slot: Slot, sequence: Sequence, guesses: list[int], right: int) -> None:
        """Guesses that were right are part of the sequence now; the others leave the cache."""
        kept = guesses[: min(right, sequence.pending)]
        sequence.computed += len(kept)
        slot.cached.extend(kept)
        if len(kept) < len(guesses) and not self._context.keep_prefix(slot.index, sequence.computed):
            sequence.computed = 0
            del slot.cached[:]
        sequence.drafted += len(guesses)
        sequence.accepted += right

    def _is_full(self, sequence: Sequence, taken: int) -> bool:
        """After `taken` tokens that came of one pick."""
        limit = sequence.request.sampling.max_tokens
        if sequence.completion_length == limit:
            return True
        if sequence.request.overflow == "shift":
            # What a constraint put in at once must fit into what one shift makes free.
            return taken > self._context_length // 8
        return len(sequence.tokens) >= self._context_length

    # Ends

    def _end(
        self, slot: Slot, sequence: Sequence, reason: Reason, text: str = "", logprobs: Seq[TokenLogprob] = ()
    ) -> None:
        self._apart.stop(slot)
        self._admission.release(slot)
        text += sequence.text.flush()
        if text or logprobs:
            self._outcome.text(sequence, text, logprobs)
        self._close(sequence, reason)

    def _fail(self, slot: Slot, sequence: Sequence, error: Refused) -> None:
        """While a token is picked: guesses are in the cache, or what is no number. Nothing may stay."""
        self._apart.drop(slot)
        self._context.clear(slot.index)
        del slot.cached[:], slot.checkpoints[:]
        self._admission.release(slot)
        self._forget(sequence)
        self._outcome.failed(error.of(sequence.request_id))

    def _close(self, sequence: Sequence, reason: Reason) -> None:
        self._forget(sequence)
        self._outcome.finished(sequence, reason)

    def _forget(self, sequence: Sequence) -> None:
        self._speculation.ended(sequence)
        sequence.picker.close()

    def close(self) -> None:
        """No more steps will come: what slots and memory hold goes to disk, as far as there is time."""
        self._apart.close()
        self._admission.close()
        self._speculation.close()
