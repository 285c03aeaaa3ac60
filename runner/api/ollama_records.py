"""What Ollama's clients expect of a generation: durations in ns, and nothing about what has no value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NotRequired, cast

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner import wire
from runner.api.logprobs import Alternative, alternative
from runner.api.ollama_types import now


class Logprob(Alternative):
    top_logprobs: NotRequired[list[Alternative]]


class Record(TypedDict):
    """One line of a generation; what comes after `logprobs` is in the last line. `dropped_messages` were left
    out of the prompt, and `shifted_count` tokens forgotten on the way, because the context was full."""

    model: str
    created_at: datetime
    done: bool
    logprobs: NotRequired[list[Logprob]]
    done_reason: NotRequired[str]
    total_duration: NotRequired[int]
    load_duration: NotRequired[int]
    prompt_eval_count: NotRequired[int]
    prompt_eval_cached_count: NotRequired[int]
    prompt_eval_duration: NotRequired[int]
    eval_count: NotRequired[int]
    eval_duration: NotRequired[int]
    draft_count: NotRequired[int]
    draft_accepted_count: NotRequired[int]
    dropped_messages: NotRequired[int]
    shifted_count: NotRequired[int]


class GenerateRecord(Record):
    response: str


class AssistantMessage(TypedDict):
    role: Literal["assistant"]
    content: str


class ChatRecord(Record):
    message: AssistantMessage


def generate_record(text: str, model: str) -> GenerateRecord:
    return {"model": model, "created_at": now(), "response": text, "done": False}


def chat_record(text: str, model: str) -> ChatRecord:
    message: AssistantMessage = {"role": "assistant", "content": text}
    return {"model": model, "created_at": now(), "message": message, "done": False}


def close(record: Record, done: wire.Done) -> None:
    """Make `record` the last one."""
    times, usage = done.timings, done.usage
    values = {
        "done_reason": done.reason,
        "total_duration": nanoseconds(times.total_s),
        "load_duration": nanoseconds(times.load_s),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_cached_count": usage.cached_tokens,
        "prompt_eval_duration": nanoseconds(times.prefill_s),
        "eval_count": usage.completion_tokens,
        "eval_duration": nanoseconds(times.decode_s),
        "draft_count": usage.drafted_tokens,
        "draft_accepted_count": usage.accepted_tokens,
        "dropped_messages": usage.dropped_messages,
        "shifted_count": usage.shifted_tokens,
    }
    record["done"] = True
    cast("dict[str, object]", record).update({name: value for name, value in values.items() if value})


def logprobs(tokens: Iterable[wire.TokenLogprob]) -> list[Logprob]:
    return [_logprob(token) for token in tokens]


def _logprob(token: wire.TokenLogprob) -> Logprob:
    chosen: Logprob = {"token": token.text, "logprob": token.logprob, "bytes": token.data}
    if token.top:
        chosen["top_logprobs"] = [alternative(each) for each in token.top]
    return chosen


def nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
