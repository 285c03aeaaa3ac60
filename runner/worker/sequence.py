"""State of one request from submission to its last token."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.protocol import Generate
from runner.worker.detokenize import TextAssembler
from runner.worker.picking import Picker


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was read of a request. A shift must not forget the first `kept` tokens."""

    tokens: list[int]
    kept: int


@dataclass(slots=True)
class Sequence:
    """`tokens` is the prompt, then what was generated; the first `computed` of them are in the KV cache. A
    shift must not forget the first `kept`.

    `draft` are guesses of what follows `tokens`, decoded along with them in the current step. The
    prompt is read up to `checkpoint_at` before the rest of it. Times are readings of one monotonic clock, in
    seconds; None until they happen.
    """

    request: Generate
    tokens: list[int]
    prompt_length: int
    kept: int
    picker: Picker
    text: TextAssembler
    submitted_at: float
    draft: list[int] = field(default_factory=list)
    computed: int = 0
    checkpoint_at: int = 0
    cached: int = 0
    drafted: int = 0
    accepted: int = 0
    shifted: int = 0
    queue_position: int | None = None
    started_at: float | None = None
    first_token_at: float | None = None

    @property
    def request_id(self) -> str:
        return self.request.request_id

    @property
    def is_ready(self) -> bool:
        """False as long as its constraint has no guide."""
        return self.request.constraint is None or self.picker.guide is not None

    @property
    def is_prefilling(self) -> bool:
        return self.computed + self.shifted < self.prompt_length

    @property
    def completion_length(self) -> int:
        return len(self.tokens) + self.shifted - self.prompt_length

    @property
    def pending(self) -> int:
        """Tokens that wait to be decoded: the rest of the prompt, or what was picked last."""
        return len(self.tokens) - self.computed

    @property
    def due(self) -> int:
        """Pending tokens that the next step may decode: up to the checkpoint, if that lies ahead."""
        ahead = self.checkpoint_at - self.computed
        return ahead if ahead > 0 else self.pending
