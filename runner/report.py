"""A worker's updates on one request, in the words of the API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from runner import wire
from runner.protocol import Alternative, Delta, Finished, TokenLogprob

Event = wire.Progressing | wire.Done


@dataclass(slots=True)
class Report:
    """Turns updates into events, in order. Times are seconds; `arrived_s` a reading of perf_counter."""

    name: str
    arrived_s: float
    load_s: float
    dropped_messages: int = 0
    ttft_s: float | None = None

    def event(self, update: Delta | Finished) -> Event:
        if isinstance(update, Finished):
            return self._done(update)
        if update.queue_position is not None:
            return wire.Queued(position=update.queue_position)
        if update.prompt_tokens_total is not None:
            done = update.prompt_tokens_done or 0
            return wire.Prefilling(done_tokens=done, total_tokens=update.prompt_tokens_total)
        self.ttft_s = self.ttft_s or time.perf_counter() - self.arrived_s
        logprobs = [_logprob(each) for each in update.logprobs] or None
        return wire.TextDelta(text=update.text, completion_tokens=update.completion_tokens, logprobs=logprobs)

    def _done(self, finished: Finished) -> wire.Done:
        usage = wire.Usage.model_validate(finished, from_attributes=True)
        usage.dropped_messages = self.dropped_messages
        timings = wire.Timings.model_validate(finished, from_attributes=True)
        timings.load_s, timings.ttft_s = self.load_s, self.ttft_s
        timings.total_s = time.perf_counter() - self.arrived_s
        reason, stop = finished.reason, finished.stop
        return wire.Done(model=self.name, reason=reason, stop=stop, usage=usage, timings=timings)


def _logprob(token: TokenLogprob) -> wire.TokenLogprob:
    top = [wire.Alternative(**_alternative(each)) for each in token.top]
    return wire.TokenLogprob(**_alternative(token), top=top)


def _alternative(token: Alternative) -> dict[str, Any]:
    return {"token": token.token, "text": token.text, "data": list(token.data), "logprob": token.logprob}
