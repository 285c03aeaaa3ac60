"""Types of nybble's own HTTP dialect (`/nybble/*`), shared by daemon, CLI and TUI.

Sizes are bytes, durations seconds, times UTC. Unknown is None. Text that comes from models, hubs and files is
data: `runner.text.clean` it before it reaches a terminal.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """Base of all wire types: unknown fields are ignored, so that old and new versions can talk.

    A type's validator is built at its first use: a command uses few of them.
    """

    model_config = ConfigDict(extra="ignore", protected_namespaces=(), defer_build=True)


class ErrorBody(Wire):
    message: str
    hint: str | None = None
    code: str
    status: int


# What is asked


Role = Literal["system", "user", "assistant", "tool"]
"""A closed set: templates build control tokens out of roles, so a free one would be a way to forge them."""


class Message(Wire):
    role: Role
    content: str


class Options(Wire):
    """Sampling options; the defaults are Ollama's. None means: the daemon decides.

    `temperature` 0 is greedy. `max_tokens` None generates up to the end of the context. `context_length` is
    the least context the request needs, in tokens.
    """

    temperature: float = Field(0.8, ge=0, le=100)
    top_k: int = Field(40, ge=0, le=2**31 - 1)
    top_p: float = Field(0.9, ge=0, le=1)
    min_p: float = Field(0.0, ge=0, le=1)
    typical_p: float = Field(1.0, ge=0, le=1)
    top_n_sigma: float = Field(-1.0, ge=-1, le=100)
    xtc_probability: float = Field(0.0, ge=0, le=1)
    xtc_threshold: float = Field(0.1, ge=0, le=1)
    mirostat: int = Field(0, ge=0, le=2)
    mirostat_tau: float = Field(5.0, ge=0, le=100)
    mirostat_eta: float = Field(0.1, ge=0, le=1)
    repeat_penalty: float = Field(1.0, gt=0, le=100)
    repeat_last_n: int = Field(64, ge=-1, le=2**31 - 1)
    presence_penalty: float = Field(0.0, ge=-100, le=100)
    frequency_penalty: float = Field(0.0, ge=-100, le=100)
    dry_multiplier: float = Field(0.0, ge=0, le=100)
    dry_base: float = Field(1.75, ge=1, le=100)
    dry_allowed_length: int = Field(2, ge=1, le=2**31 - 1)
    dry_penalty_last_n: int = Field(-1, ge=-1, le=2**31 - 1)
    dry_sequence_breakers: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=lambda: ["\n", ":", '"', "*"], max_length=64
    )
    logit_bias: dict[Annotated[int, Field(ge=0, le=2**31 - 1)], Annotated[float, Field(ge=-100, le=100)]] = (
        Field(default_factory=dict, max_length=1024)
    )
    ignore_eos: bool = False
    seed: int | None = Field(None, ge=0, le=2**32 - 1)
    max_tokens: int | None = Field(None, ge=0)
    stop: list[Annotated[str, Field(max_length=1024)]] = Field(default_factory=list, max_length=64)
    context_length: int | None = Field(None, ge=1, le=2**24)


class Constraint(Wire):
    """What the output must match; `source` is empty for "json", which is any JSON object. With `triggers` it
    applies from the first of these texts on; before it, output is free."""

    kind: Literal["json", "json_schema", "regex", "lark", "gbnf"]
    source: str = ""
    triggers: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default_factory=list, max_length=16
    )


Overflow = Literal["error", "truncate", "shift"]
"""What happens when the context is too small: refuse; leave out the oldest turns of the conversation, never
its system message; or also forget the oldest part while generating, where the model can."""


MOST_LOGPROBS = 20
"""Alternatives that are reported in the place of one token."""


class GenerateRequest(Wire):
    """Continue a conversation (`messages`) or a text (`prompt`).

    A `prompt` is wrapped in the model's chat template as one user message, unless it is `raw` or the model
    has none. Both empty: load the model and stop there; with `keep_alive_s` 0: unload it. `keep_alive_s`
    negative keeps the model for ever, None means the daemon's setting. `top_logprobs` None reports no log
    probabilities, 0 those of the chosen tokens, n also of n alternatives. `overflow` None means the daemon's
    setting. `speculation` False decodes token by token. `draft` names a smaller model of the same vocabulary
    that drafts tokens; None means the daemon's setting.
    """

    model: str
    messages: list[Message] | None = None
    prompt: str | None = None
    system: str | None = None
    raw: bool = False
    options: Options = Field(default_factory=lambda: Options())
    keep_alive_s: float | None = None
    constraint: Constraint | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    overflow: Overflow | None = None
    speculation: bool = True
    draft: str | None = None


MOST_INPUTS = 4096
"""In one request to embed or to rank."""


class EmbedRequest(Wire):
    """Embed each of `inputs`; with `query`, score each as an answer to it instead. An input longer than the
    context is cut and reported if `truncate`, else refused. `dimensions` keeps the first so many numbers. Of
    `options` only `context_length` counts: it is also the most tokens that are read of an input."""

    model: str
    inputs: list[str] = Field(max_length=MOST_INPUTS)
    query: str | None = None
    truncate: bool = True
    dimensions: int | None = Field(None, ge=1)
    options: Options = Field(default_factory=lambda: Options())
    keep_alive_s: float | None = None


class PullRequest(Wire):
    """`name` as DESIGN §1 lists them, or an absolute path of a `.gguf` file with `alias` as its name."""

    name: str
    alias: str | None = None


class QuantizeRequest(Wire):
    name: str
    quantization: str
    alias: str | None = None
    force: bool = False


class NameRequest(Wire):
    name: str


class CopyRequest(Wire):
    source: str
    destination: str


# What is answered: models


class ModelFile(Wire):
    role: Literal["model"] = "model"
    digest: str
    size_bytes: int
    path: str


class ModelInfo(Wire):
    """One local model. `digest` is `sha256:<hex>` of its weights file."""

    name: str
    digest: str
    size_bytes: int
    modified_at: datetime
    source: str
    architecture: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    embedding_length: int | None = None
    license: str | None = None
    has_chat_template: bool = False
    derived_from: str | None = None


class ModelDetail(ModelInfo):
    """`metadata` holds the GGUF header's keys; arrays longer than 5 are None there."""

    files: list[ModelFile] = []
    purpose: Literal["generate", "embed", "rerank"] = "generate"
    chat_template: str | None = None
    metadata: dict[str, str | int | float | bool | list[str] | list[int] | list[float] | None] = {}
    tensors: list[TensorInfo] = []


class TensorInfo(Wire):
    name: str
    type: str
    shape: list[int]


class LoadedModel(Wire):
    """One model with a worker. `devices` says where its layers are and `reason` why they are there; `notes`
    are what else was decided at the load. `variant` are the settings that set it apart from another load of
    the same weights; `waiting` have no slot yet."""

    name: str
    digest: str
    variant: str | None = None
    state: Literal["loading", "ready", "unloading"]
    pid: int | None = None
    size_bytes: int
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    context_length: int
    slots: int
    busy_slots: int = 0
    waiting: int = 0
    threads: int | None = None
    devices: str | None = None
    flash_attention: bool | None = None
    reason: str = ""
    notes: list[str] = []
    expires_at: datetime | None = None


class RemoveResult(Wire):
    freed_bytes: int


class Health(Wire):
    version: str
    pid: int
    address: str
    store: str
    started_at: datetime
    llama_cpp_python: str | None = None
    memory_bytes: int | None = None


# What is answered: events of a generation


class Queued(Wire):
    """Waiting: for a model to load or for a slot. `position` 1 is next; None before that is known."""

    type: Literal["queued"] = "queued"
    position: int | None = None


class Loading(Wire):
    type: Literal["loading"] = "loading"
    fraction: float | None = None


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

    top: list[Alternative] = []


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
    truncated: list[int] = []
    timings: Timings = Field(default_factory=lambda: Timings())


class Done(Wire):
    """Last event of a generation that did not fail."""

    type: Literal["done"] = "done"
    model: str
    reason: Literal["stop", "length", "load", "unload", "cancelled"]
    usage: Usage = Field(default_factory=lambda: Usage())
    timings: Timings = Field(default_factory=lambda: Timings())


class ErrorEvent(Wire):
    """Last event of a generation or job that failed."""

    type: Literal["error"] = "error"
    error: ErrorBody


GenerationEvent = Annotated[
    Queued | Loading | Reloading | Prefilling | TextDelta | Done | ErrorEvent, Field(discriminator="type")
]


# What is answered: events of a job (pull, verify, quantize)


class JobProgress(Wire):
    """`phase` is a few words for people: "resolving", "downloading", "verifying", "quantizing", …"""

    type: Literal["progress"] = "progress"
    phase: str
    detail: str | None = None
    digest: str | None = None
    completed_bytes: int | None = None
    total_bytes: int | None = None


class JobDone(Wire):
    type: Literal["done"] = "done"
    model: ModelInfo


JobEvent = Annotated[JobProgress | JobDone | ErrorEvent, Field(discriminator="type")]


# Chat sessions, kept by the daemon


class SessionInfo(Wire):
    id: int
    title: str
    model: str | None = None
    created_at: datetime
    updated_at: datetime


class SessionMessage(Wire):
    """`is_partial` marks an answer that was stopped or failed; what arrived of it is kept."""

    id: int = 0
    role: Literal["system", "user", "assistant"]
    content: str
    model: str | None = None
    is_partial: bool = False
    created_at: datetime | None = None


class Session(SessionInfo):
    messages: list[SessionMessage] = []


class SessionCreate(Wire):
    title: str = "New chat"
    model: str | None = None


class SessionUpdate(Wire):
    title: str | None = None
    model: str | None = None
