"""What is answered: events of a generation, and embeddings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from runner.wire.base import ErrorBody, Wire


class Queued(Wire):
    """Waiting: for a model to load or for a slot. `position` 1 is next."""

    type: Literal["queued"] = "queued"
    position: int


class Loading(Wire):
    type: Literal["loading"] = "loading"
    fraction: float


class Prefilling(Wire):
    type: Literal["prefill"] = "prefill"
    done_tokens: int
    total_tokens: int


class Reloading(Wire):
    """The model is loaded anew, once, because the request needs what the loaded one does not have."""

    type: Literal["reloading"] = "reloading"
    reason: str


class Alternative(Wire):
    """A token and its natural-log probability. `data` are its bytes: `text` cannot show half a character."""

    token: int
    text: str
    data: list[int]
    logprob: float


class TokenLogprob(Alternative):
    """A generated token, and the most likely ones in its place, best first."""

    top: list[Alternative] = Field(default_factory=list)


class TextDelta(Wire):
    type: Literal["delta"] = "delta"
    text: str
    completion_tokens: int = 0
    logprobs: list[TokenLogprob] | None = None


class Usage(Wire):
    """`cached_tokens` of the prompt were not computed again. Of `drafted_tokens` speculation got
    `accepted_tokens` right. `dropped_messages` were left out of the prompt, and `shifted_tokens` forgotten
    while generating, because the context was full."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    dropped_messages: int = 0
    shifted_tokens: int = 0


class Timings(Wire):
    """`load_s` waiting for the model, `queue_s` waiting for a slot, `prefill_s` slot to first token,
    `decode_s` first token to last, `ttft_s` arrival to first token, `total_s` arrival to end."""

    load_s: float = 0.0
    queue_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    ttft_s: float | None = None
    total_s: float = 0.0


class Embeddings(Wire):
    """One vector of length 1 for each input, or one score each; `truncated` are the indexes of inputs that
    were cut."""

    model: str
    vectors: list[list[float]]
    token_counts: list[int]
    truncated: list[int] = Field(default_factory=list)
    timings: Timings = Field(default_factory=lambda: Timings())


class Done(Wire):
    """Last event of a generation that did not fail. `stop` is the stop string that ended it, if one did."""

    type: Literal["done"] = "done"
    model: str
    reason: Literal["stop", "length", "load", "unload", "cancelled"]
    stop: str | None = None
    usage: Usage = Field(default_factory=lambda: Usage())
    timings: Timings = Field(default_factory=lambda: Timings())


class ErrorEvent(Wire):
    """Last event of a generation or job that failed."""

    type: Literal["error"] = "error"
    error: ErrorBody


Progressing = Queued | Loading | Reloading | Prefilling | TextDelta
"""What comes of a generation before its end."""

GenerationEvent = Annotated[Progressing | Done | ErrorEvent, Field(discriminator="type")]
