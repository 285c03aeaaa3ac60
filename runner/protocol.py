"""Messages between daemon and worker: one JSON object a line over the worker's stdin and stdout.

The daemon sends commands (imperative), the worker sends events (past tense). A line is
`{"type": <class name>, ...fields}`; fields with their default value are left out. An unknown type or field is
a protocol error: the reader must treat the other side as broken. Every `Generate` is answered by exactly one
`Finished` or `Failed` for its request, every `Embed` by one `Embedded` or `Failed`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest line either side accepts: a 128k-token prompt as text stays far below it."""

HEAD_ROLLBACK_TOKENS = 3
"""How many guesses of a model's own head a recurrent state can take back: each takes the memory of one more
state, and heads are rarely right for longer."""


class ProtocolError(Exception):
    """The other side sent a line that is not one of these messages."""


Reason = Literal["stop", "length", "cancelled"]
"""Why a request ended: end of turn or a stop string, limit or full context, cancelled."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What messages are made of."""


class _Message(_Part, frozen=True, tag=True):
    """A line of its own."""


# Commands: daemon to worker


class Load(_Message, frozen=True):
    """First command, once: which file, and how. `context_length` is per slot, in tokens.

    `prefill_step_s` is how long those who generate pause for a prompt; 0 is as long as a full batch takes.
    `kv_type_k` and `kv_type_v` are ggml's names of types. `flash_attention` "auto" is decided by measurement.
    `draft_path` is a smaller model of the same vocabulary, for speculation; `has_head` says that the file has
    a head for multi-token prediction, which is to be used for it. `prefix_ram_bytes` and `prefix_disk_bytes`
    bound the caches of evicted prefixes, 0 is off; `prefix_disk_path` is the folder that only this model and
    engine build use, and a name that only this template and these settings have. What is measured once for a
    file is kept in the folder `measurements_path`, which is this engine build's. `is_embedding` loads it to
    embed and not to generate.
    """

    model_path: str
    context_length: int
    slots: int
    gpu_layers: int
    threads: int
    prefill_threads: int
    prefill_step_s: float = 0.0
    kv_type_k: str = "f16"
    kv_type_v: str = "f16"
    flash_attention: Literal["auto", "on", "off"] = "auto"
    speculation: bool = True
    draft_path: str | None = None
    has_head: bool = False
    prefix_ram_bytes: int = 0
    prefix_disk_path: str | None = None
    prefix_disk_bytes: int = 0
    measurements_path: str | None = None
    is_embedding: bool = False


class Sampling(_Part, frozen=True):
    """How to pick tokens, in the words of `runner.wire.Options`, which has the units and ranges.

    `temperature` 0 is greedy; `seed` None is random; `max_tokens` None is up to the context; `ignore_eos`
    keeps going past the end-of-turn token. `logit_bias` holds pairs of a token and what is added to its
    logit.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    logit_bias: tuple[tuple[int, float], ...] = ()
    ignore_eos: bool = False
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


class Constraint(_Part, frozen=True):
    """What the output must match: `grammar` as llguidance has it, made by `runner.prep.constraints`. With
    `triggers` it applies from the first of these texts on, the trigger included in the match; before, output
    is free."""

    grammar: str
    triggers: tuple[str, ...] = ()


class Generate(_Message, frozen=True):
    """Continue `prompt`: text segments that are tokenized one by one and joined.

    A segment border keeps text from forming a special token across it: that is how user text that spells
    `<|im_start|>` stays text. `add_bos` asks for the model's beginning-of-sequence token if it uses one.
    `top_logprobs` None reports no log probabilities, 0 those of the chosen tokens, n also of n alternatives.
    A prompt that leaves less than `room_tokens` of the context free is refused. `overflow` "shift" lets a
    full context forget its oldest part instead of ending the answer, but never the first `kept_tokens` (-1:
    the prompt) or, if that is None, `kept_characters`.
    """

    request_id: str
    prompt: tuple[str, ...]
    sampling: Sampling
    add_bos: bool = True
    constraint: Constraint | None = None
    top_logprobs: int | None = None
    overflow: Literal["error", "shift"] = "error"
    room_tokens: int = 1
    kept_characters: int = 0
    kept_tokens: int | None = None
    speculation: bool = True

    @property
    def characters(self) -> int:
        return sum(map(len, self.prompt))


class Embed(_Message, frozen=True):
    """Embed each input (`query` None), or score each as an answer to `query`. Inputs beyond the context, or
    beyond `context_length` if that is less, are cut if `truncate`, else the request fails. `dimensions` keeps
    the first so many numbers. `first` is the number of the first input in messages to the user."""

    request_id: str
    inputs: tuple[str, ...]
    truncate: bool = True
    dimensions: int | None = None
    query: str | None = None
    context_length: int | None = None
    first: int = 0

    @property
    def characters(self) -> int:
        """The query is read again with each input."""
        return sum(map(len, self.inputs)) + len(self.query or "") * len(self.inputs)


class Cancel(_Message, frozen=True):
    request_id: str


class Shutdown(_Message, frozen=True):
    """Finish nothing, free everything, exit 0."""


# Events: worker to daemon


class LoadProgressed(_Message, frozen=True):
    fraction: float


class Ready(_Message, frozen=True):
    """Loaded. `control_tokens` are the texts of the vocabulary's control tokens; `devices` says where the
    layers went; `memory_bytes` is what llama.cpp allocated; `notes` are decisions worth a line in the
    log."""

    context_length: int
    slots: int
    threads: int
    devices: str
    load_s: float
    bos_text: str
    eos_text: str
    control_tokens: tuple[str, ...]
    memory_bytes: int | None = None
    flash_attention: bool | None = None
    can_shift: bool = False
    notes: tuple[str, ...] = ()


class LoadFailed(_Message, frozen=True):
    code: str
    message: str
    hint: str | None = None


class Alternative(_Part, frozen=True):
    """A token with its natural-log probability. `data` are its bytes: `text` cannot show half a character."""

    token: int
    text: str
    data: bytes
    logprob: float


class TokenLogprob(Alternative, frozen=True):
    """One generated token, and the most likely ones in its place, best first."""

    top: tuple[Alternative, ...] = ()


class Delta(_Part, frozen=True):
    """What one sequence gained in one step: its place in the queue (1 is next), prefill progress
    (`prompt_tokens_done`), or text."""

    request_id: str
    text: str = ""
    completion_tokens: int = 0
    prompt_tokens_done: int | None = None
    prompt_tokens_total: int | None = None
    queue_position: int | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


class Finished(_Part, frozen=True):
    """End of one request. Times in seconds:
    `queue_s` waiting for a slot, `prefill_s` slot to first token, `decode_s` first token to last.
    `cached_tokens` of the prompt were not computed again. `shifted_tokens` were forgotten on the way. `stop`
    is the stop string that ended it, if one did."""

    request_id: str
    reason: Reason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_s: float
    prefill_s: float
    decode_s: float
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    shifted_tokens: int = 0
    stop: str | None = None


class Embedded(_Part, frozen=True):
    """`vectors` hold one little-endian 32-bit float array for each input, of one number when scoring."""

    request_id: str
    vectors: tuple[bytes, ...]
    token_counts: tuple[int, ...]
    truncated: tuple[int, ...] = ()


class Failed(_Part, frozen=True):
    """`prompt_tokens` and `context_length` come with `context_length_exceeded`."""

    request_id: str
    code: str
    message: str
    status: int
    hint: str | None = None
    prompt_tokens: int | None = None
    context_length: int | None = None


class Stepped(_Message, frozen=True):
    """All that one engine step produced, for all sequences, in one line; `threads` computed it."""

    deltas: tuple[Delta, ...] = ()
    finished: tuple[Finished, ...] = ()
    failed: tuple[Failed, ...] = ()
    embedded: tuple[Embedded, ...] = ()
    busy_slots: int = 0
    waiting: int = 0
    threads: int = 0


Command = Load | Generate | Embed | Cancel | Shutdown
Event = LoadProgressed | Ready | LoadFailed | Stepped

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Command | Event] = msgspec.json.Decoder(Command | Event)


def encode(message: Command | Event) -> bytes:
    """One line, newline included. What UTF-8 cannot hold (half a surrogate pair) becomes "?"."""
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError:
        return _encoder.encode(_without_surrogates(msgspec.to_builtins(message))) + b"\n"


def decode(line: bytes) -> Command | Event:
    """The message on one line. Raises ProtocolError on anything else."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a message: {line[:200]!r}: {error}") from error


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    return value
