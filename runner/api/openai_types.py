"""What OpenAI's clients send and expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator

from runner import wire
from runner.api.fields import Body, Strings, options

SEEDS = 2**32

# Ours: theirs.
_OPTION_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "stop": "stop",
}


# Requests


def _text(content: Any) -> Any:
    """A message's text: a string, or the text parts of a list, joined by line ends. Raises ValueError."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ValueError("a string or a list of text parts is needed")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise ValueError("only parts of type text are supported")
        texts.append(part["text"])
    return "\n".join(texts)


def _one_prompt(prompt: Any) -> Any:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str) or not prompt:
        raise ValueError(
            "one text, not empty, is needed; lists of several prompts or of tokens are not supported"
        )
    return prompt


class Message(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[
        str, BeforeValidator(_text, json_schema_input_type=str | list[dict[str, str]] | None)
    ] = ""
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    def ours(self) -> wire.Message:
        """`developer` is OpenAI's newer name for what models call system."""
        return wire.Message(role="system" if self.role == "developer" else self.role, content=self.content)


class StreamOptions(Body):
    include_usage: bool | None = None


class Generation(Body):
    """What both completion routes share. Fields typed Any are refused unless they ask for nothing."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: Strings = None
    n: int | None = None
    logprobs: Any = None
    logit_bias: Any = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def limit(self) -> tuple[str, int | None]:
        """The field that limits the answer, and its value in tokens."""
        return "max_tokens", self.max_tokens

    def ours(self) -> wire.Options:
        """Raises BadField. Any 64-bit seed is good: it is folded into the 32 bits that the sampler takes."""
        values = self.model_dump(include=set(_OPTION_NAMES.values()))
        if self.seed is not None and -(2**63) <= self.seed < 2**64:
            values["seed"] = self.seed % SEEDS
        field, limit = self.limit()
        return options(values | {field: limit}, _OPTION_NAMES | {"max_tokens": field})


class ChatBody(Generation):
    messages: list[Message]
    max_completion_tokens: int | None = None
    top_logprobs: Any = None
    tools: Any = None
    functions: Any = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None

    def limit(self) -> tuple[str, int | None]:
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return super().limit()


class CompletionBody(Generation):
    # A type that is not a union, so that a problem has one place and one sentence.
    prompt: Annotated[str, BeforeValidator(_one_prompt, json_schema_input_type=str | list[str])]
    # OpenAI's default: a text that is only continued has no natural end.
    max_tokens: int | None = 16
    suffix: Any = None
    echo: Any = None
    best_of: int | None = None


# Answers


class PromptDetails(BaseModel):
    cached_tokens: int


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails

    @classmethod
    def of(cls, usage: wire.Usage) -> Usage:
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details=PromptDetails(cached_tokens=usage.cached_tokens),
        )


class Answer(BaseModel):
    """A whole answer or, in a stream, one chunk of it."""

    id: str
    object: str
    created: int
    model: str
    choices: Sequence[BaseModel]
    usage: Usage | None = None


class ChatMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    index: int = 0
    message: ChatMessage
    finish_reason: str
    logprobs: None = None


class DeltaChoice(BaseModel):
    index: int = 0
    delta: dict[str, str]
    finish_reason: str | None = None
    logprobs: None = None


class TextChoice(BaseModel):
    index: int = 0
    text: str
    finish_reason: str | None = None
    logprobs: None = None


class ChatCompletion(Answer):
    object: Literal["chat.completion"] = "chat.completion"
    choices: list[ChatChoice]


class ChatCompletionChunk(Answer):
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[DeltaChoice]


class Completion(Answer):
    object: Literal["text_completion"] = "text_completion"
    choices: list[TextChoice]


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "nybble"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


def finish_reason(done: wire.Done) -> str:
    """A cancelled answer stopped too; OpenAI has no word of its own for it."""
    return "length" if done.reason == "length" else "stop"
