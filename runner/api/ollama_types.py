"""What Ollama's clients send and expect: sizes in bytes, durations in ns, digests as bare hex."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from runner import wire
from runner.api.fields import Body, KeepAlive, Strings, options

API_VERSION = "0.33.0"
"""The version of Ollama whose API this dialect follows: clients compare it before they use a feature."""

# Ours: theirs.
_OPTION_NAMES = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "repeat_last_n": "repeat_last_n",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "max_tokens": "num_predict",
    "stop": "stop",
    "context_length": "num_ctx",
}


# Requests


class Options(Body):
    """What the engine has; everything else that Ollama knows is ignored like an unknown option."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    num_predict: int | None = None
    stop: Strings = None
    num_ctx: int | None = None

    def ours(self) -> wire.Options:
        """Negative seeds mean random, negative `num_predict` no limit, `num_ctx` 0 auto. Raises BadField."""
        values = self.model_dump()
        for name in ("seed", "num_predict"):
            if values[name] is not None and values[name] < 0:
                values[name] = None
        return options(values | {"num_ctx": self.num_ctx or None}, _OPTION_NAMES, "options.")


class Generation(Body):
    """What `/api/generate` and `/api/chat` share. Fields typed Any are refused unless empty."""

    model: str
    stream: bool | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None
    format: Any = None
    think: Any = None
    logprobs: Any = None
    top_logprobs: Any = None


class GenerateBody(Generation):
    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    suffix: Any = None
    images: Any = None
    template: Any = None
    context: Any = None


class Message(Body):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    images: Any = None
    tool_calls: Any = None


class ChatBody(Generation):
    messages: list[Message] | None = None
    tools: Any = None


class NameBody(Body):
    """Old clients say `name`, new ones `model`."""

    model: str | None = None
    name: str | None = None

    @property
    def either(self) -> str:
        return self.model or self.name or ""


class PullBody(NameBody):
    stream: bool | None = None


class CopyBody(Body):
    source: str
    destination: str


# Answers


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class Details(_Answer):
    parent_model: str = ""
    format: str = "gguf"
    family: str = ""
    families: list[str] = []
    parameter_size: str = ""
    quantization_level: str = ""


class Model(_Answer):
    name: str
    model: str
    modified_at: datetime
    size: int
    digest: str
    details: Details


class Models(_Answer):
    models: list[Model]


class LoadedModel(_Answer):
    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: datetime
    size_vram: int
    context_length: int


class LoadedModels(_Answer):
    models: list[LoadedModel]


class Show(_Answer):
    license: str | None = None
    modelfile: str
    parameters: str = ""
    template: str = ""
    details: Details
    model_info: dict[str, Any]
    tensors: list[wire.TensorInfo]
    capabilities: list[str]
    modified_at: datetime


class Version(_Answer):
    version: str = API_VERSION
    nybble: str


class Progress(_Answer):
    status: str
    digest: str | None = None
    total: int | None = None
    completed: int | None = None


class Record(_Answer):
    """One line of a generation; the fields from `done_reason` on are in its last line, durations in ns."""

    model: str
    created_at: datetime
    done: bool
    done_reason: str | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_cached_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class GenerateRecord(Record):
    response: str


class AssistantMessage(_Answer):
    role: Literal["assistant"] = "assistant"
    content: str


class ChatRecord(Record):
    message: AssistantMessage


def details(info: wire.ModelInfo | None) -> Details:
    """Empty texts for what is not known: clients expect all fields."""
    if info is None:
        return Details()
    return Details(
        family=info.architecture or "",
        families=[info.architecture] if info.architecture else [],
        parameter_size=short_count(info.parameter_count),
        quantization_level=info.quantization or "",
    )


def short_count(count: int | None) -> str:
    """134515008 as "134.52M", 8030261312 as "8.0B"; empty for None."""
    if count is None:
        return ""
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= size:
            return f"{count / size:.{digits}f}{letter}"
    return str(count)


def metrics(done: wire.Done) -> Mapping[str, Any]:
    """How a generation ended, as fields of Record; what is zero is left out."""
    times, usage = done.timings, done.usage
    values = {
        "total_duration": _ns(times.total_s),
        "load_duration": _ns(times.load_s),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_cached_count": usage.cached_tokens,
        "prompt_eval_duration": _ns(times.prefill_s),
        "eval_count": usage.completion_tokens,
        "eval_duration": _ns(times.decode_s),
    }
    return {"done_reason": done.reason} | {name: value for name, value in values.items() if value}


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def now() -> datetime:
    return datetime.now(UTC)
