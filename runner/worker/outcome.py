"""What one step produced, collected for the one message that reports it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence as Seq

from runner.protocol import Delta, Failed, Finished, Reason, Stepped, TokenLogprob
from runner.worker.sequence import Sequence


class Outcome:
    """Collects until `take`."""

    def __init__(self) -> None:
        self._deltas: list[Delta] = []
        self._finished: list[Finished] = []
        self._failed: list[Failed] = []

    @property
    def has_ends(self) -> bool:
        """Somebody waits to hear that a request ended."""
        return bool(self._finished or self._failed)

    def take(self, busy_slots: int, waiting: int, threads: int) -> Stepped:
        deltas, self._deltas = tuple(self._deltas), []
        finished, self._finished = tuple(self._finished), []
        failed, self._failed = tuple(self._failed), []
        return Stepped(deltas, finished, failed, (), busy_slots, waiting, threads)

    def queued(self, waiting: deque[Sequence]) -> None:
        """Tell those who wait how many are before them, when that changes."""
        for position, sequence in enumerate(waiting, 1):
            if sequence.queue_position != position:
                sequence.queue_position = position
                self._deltas.append(Delta(sequence.request_id, queue_position=position))

    def prefilled(self, sequence: Sequence) -> None:
        done, total = sequence.computed, sequence.prompt_length
        self._deltas.append(Delta(sequence.request_id, prompt_tokens_done=done, prompt_tokens_total=total))

    def text(self, sequence: Sequence, text: str, logprobs: Seq[TokenLogprob]) -> None:
        tokens = sequence.completion_length
        self._deltas.append(Delta(sequence.request_id, text, tokens, logprobs=tuple(logprobs)))

    def failed(self, failed: Failed) -> None:
        self._failed.append(failed)

    def finished(self, sequence: Sequence, reason: Reason) -> None:
        now = time.perf_counter()
        started = sequence.started_at or now
        first = sequence.first_token_at or now
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
                drafted_tokens=sequence.drafted,
                accepted_tokens=sequence.accepted,
                shifted_tokens=sequence.shifted,
                stop=sequence.text.stopped_by,
            )
        )
