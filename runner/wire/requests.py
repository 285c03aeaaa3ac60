"""What is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner.wire.base import Wire

Role = Literal["system", "user", "assistant", "tool"]
"""A closed set: templates build control tokens out of roles, so a free one would be a way to forge them."""


MOST_MESSAGES = 2**14
"""In one conversation; each takes a few tokens at the least."""


class Message(TypedDict):
    """A dictionary: checking thousands of models would keep the daemon's loop from everything else."""

    role: Role
    content: str


class Options(Wire):
    """Sampling options; the defaults are Ollama's. None means: the daemon decides.

    `temperature` 0 is greedy. `max_tokens` None generates up to the end of the context. `context_length` is
    the least context the request needs, in tokens. Of the prompt, overflow "shift" does not forget the first
    `kept_tokens`, -1 for all, None for what comes before the first turn; in any case at most a quarter of the
    context.
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
    kept_tokens: int | None = Field(None, ge=-1, le=2**24)


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
    negative, or above ten years, keeps the model for ever, None means the daemon's setting. `top_logprobs`
    None reports no log probabilities, 0 those of the chosen tokens, n also of n alternatives. `overflow` None
    means the daemon's setting. `speculation` False decodes token by token. `draft` names a smaller model of
    the same vocabulary that drafts tokens; None means the daemon's setting.
    """

    model: str
    messages: Annotated[list[Message], Field(max_length=MOST_MESSAGES)] | None = None
    prompt: str | None = None
    system: str | None = None
    raw: bool = False
    options: Options = Field(default_factory=lambda: Options())
    keep_alive_s: float | None = Field(None, allow_inf_nan=False)
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
    keep_alive_s: float | None = Field(None, allow_inf_nan=False)


class PullRequest(Wire):
    """`name` as DESIGN §1 lists them, or an absolute path of a `.gguf` file with `alias` as its name."""

    name: str
    alias: str | None = None


class QuantizeRequest(Wire):
    """Make `quantization`, or the best mixture of at most `budget_bytes` that decodes at least `min_tps`
    tokens a second. `imatrix` is the absolute path of an importance matrix, or "auto". `prune_layers` are
    left out: an experiment, whose cost is measured. `effort` is how much is measured."""

    name: str
    quantization: str | None = None
    alias: str | None = None
    force: bool = False
    imatrix: str | None = None
    prune_layers: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=1024)
    budget_bytes: int | None = Field(None, ge=1, le=2**63 - 1)
    min_tps: float | None = Field(None, gt=0)
    effort: Literal["quick", "standard", "deep"] = "standard"


class ImatrixRequest(Wire):
    """Collect an importance matrix of `text` (None: those that come with nybble), at most `chunks` times 512
    tokens of it."""

    name: str
    text: str | None = None
    chunks: int = Field(64, ge=1, le=2**16)


class NameRequest(Wire):
    name: str


class CopyRequest(Wire):
    source: str
    destination: str
