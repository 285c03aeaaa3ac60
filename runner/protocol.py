"""Messages between daemon and worker: one JSON object a line over the worker's stdin and stdout.

The daemon sends commands (imperative), the worker sends events (past tense). A line is
`{"type": <class name>, ...fields}`. An unknown type or field is a protocol error: the reader must treat the
other side as broken. Every `Generate` is answered by exactly one `Finished` or `Failed` for its request.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest line either side accepts: a 128k-token prompt as text stays far below it."""


class ProtocolError(Exception):
    """The other side sent a line that is not one of these messages."""


Reason = Literal["stop", "length", "cancelled"]
"""Why a request ended: end of turn or a stop string, limit or full context, cancelled."""

# Commands: daemon to worker


@dataclass(frozen=True, slots=True)
class Load:
    """First command, once: which file, and how. `context_length` is per slot, in tokens."""

    model_path: str
    context_length: int
    slots: int
    gpu_layers: int
    threads: int
    prefill_threads: int
    prefill_chunk_tokens: int


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to pick tokens. `temperature` 0 is greedy; `seed` None is random; `max_tokens` None is up to the
    context; `ignore_eos` keeps going past the end-of-turn token."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue `prompt`: text segments that are tokenized one by one and joined.

    A segment border keeps text from forming a special token across it: that is how user text that spells
    `<|im_start|>` stays text. `add_bos` asks for the model's beginning-of-sequence token if it uses one.
    """

    request_id: str
    prompt: tuple[str, ...]
    sampling: Sampling
    add_bos: bool = True


@dataclass(frozen=True, slots=True)
class Cancel:
    request_id: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Finish nothing, free everything, exit 0."""


# Events: worker to daemon


@dataclass(frozen=True, slots=True)
class LoadProgressed:
    fraction: float


@dataclass(frozen=True, slots=True)
class Ready:
    """Loaded. `control_tokens` are the texts of the vocabulary's control tokens; `devices` says where the
    layers went."""

    context_length: int
    slots: int
    threads: int
    devices: str
    load_s: float
    bos_text: str
    eos_text: str
    control_tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadFailed:
    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one sequence gained in one step: prefill progress (`prompt_tokens_done`) or text."""

    request_id: str
    text: str = ""
    completion_tokens: int = 0
    prompt_tokens_done: int | None = None
    prompt_tokens_total: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """End of one request. Times in seconds:
    `queue_s` waiting for a slot, `prefill_s` slot to first token, `decode_s` first token to last."""

    request_id: str
    reason: Reason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_s: float
    prefill_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    request_id: str
    code: str
    message: str
    status: int
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Stepped:
    """All that one engine step produced, for all sequences, in one line; `threads` computed it."""

    deltas: tuple[Delta, ...] = ()
    finished: tuple[Finished, ...] = ()
    failed: tuple[Failed, ...] = ()
    busy_slots: int = 0
    waiting: int = 0
    threads: int = 0


Command = Load | Generate | Cancel | Shutdown
Event = LoadProgressed | Ready | LoadFailed | Stepped

_NESTED = {
    ("Generate", "sampling"): Sampling,
    ("Stepped", "deltas"): Delta,
    ("Stepped", "finished"): Finished,
    ("Stepped", "failed"): Failed,
}
_TYPES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (Load, Generate, Cancel, Shutdown, LoadProgressed, Ready, LoadFailed, Stepped)
}


def encode(message: Command | Event) -> bytes:
    """One line, newline included."""
    body = {"type": type(message).__name__, **dataclasses.asdict(message)}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def decode(line: bytes) -> Command | Event:
    """The message on one line. Raises ProtocolError on anything else."""
    try:
        body = json.loads(line)
        kind = body.pop("type")
        return _build(kind, _TYPES[kind], body)  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"not a message: {line[:200]!r}: {error}") from error


def _build(kind: str, cls: type[Any], body: dict[str, Any]) -> Any:
    for name, value in body.items():
        nested = _NESTED.get((kind, name))
        if isinstance(value, list):
            body[name] = tuple(_build("", nested, item) if nested else item for item in value)
        elif nested is not None:
            body[name] = _build("", nested, value)
    return cls(**body)
