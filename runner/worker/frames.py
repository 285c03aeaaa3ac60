"""Steps as the daemon hears of them: no more often than a screen shows a picture."""

from __future__ import annotations

import msgspec

from runner.protocol import Delta, Stepped

_FRAME_S = 1 / 60
"""A message takes 0.7 ms of processor time in daemon and client, and a step of a small model is over in 9:
with two threads on two cores, what others take is missing there."""


class Frames:
    """Holds text back for the rest of one. All else is told at once: first tokens, progress, ends.

    A frame begins with text only: after progress comes a token, and then for long more progress."""

    def __init__(self) -> None:
        self._held: list[Delta] = []
        self._begun_s = 0.0

    def due(self, step: Stepped, now_s: float) -> Stepped | None:
        """What to tell after `step`, at a reading of a monotonic clock; None for nothing."""
        self._held += step.deltas
        is_news = bool(step.finished or step.failed or step.embedded)
        is_news |= any(delta.completion_tokens <= 1 for delta in step.deltas)
        if not is_news and (not self._held or now_s < self._begun_s + _FRAME_S):
            return None
        told, self._held = tuple(self._held), []
        if any(delta.completion_tokens for delta in told):
            self._begun_s = now_s
        return msgspec.structs.replace(step, deltas=told)
