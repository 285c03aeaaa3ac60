"""What OpenAI's clients send, and the extensions of llama-server and vLLM that their users know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field

from runner import wire
from runner.api.constraints import Constrained
from runner.api.content import Content, text
from runner.api.errors import BadField
from runner.api.fields import SEEDS, Body, Said, Sampling, Texts, limited

CHOICES_LIMIT = 16
PROMPTS_LIMIT = 32

_OVERFLOWS: dict[str | None, wire.Overflow] = {"auto": "truncate", "disabled": "error"}


def _none_empty(prompts: list[str]) -> list[str]:
    if not all(prompts):
        raise ValueError("an empty text cannot be continued")
    return prompts


class Message(Said):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: NotRequired[Content | None]


class StreamOptions(Body):
    include_usage: bool | None = None


class Generation(Constrained, Sampling, ABC):
    """What both completion routes share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    truncation: Literal["auto", "disabled"] | None = None
    draft: str | None = None
    num_ctx: int | None = None
    overflow: wire.Overflow | None = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def limit(self) -> tuple[str, int | None]:
        """The field that limits the answer, and its value in tokens."""
        return "max_tokens", self.max_tokens

    @abstractmethod
    def alternatives(self) -> int | None:
        """How many alternatives to report with each token; None reports no probabilities. Raises BadField."""

    def written(self) -> int:
        """How many texts to write for one prompt, to answer with `n` of them. Raises BadField."""
        return limited("n", 1 if self.n is None else self.n, CHOICES_LIMIT, least=1)

    def asked(self, **what: Any) -> list[wire.GenerateRequest]:
        """One request for each text to write, for `what`: a prompt or messages. With a seed, each has the one
        after the one before. Raises BadField."""
        count, alternatives = self.written(), self.alternatives()
        if alternatives is None and count > (self.n or 1):
            alternatives = 0  # the best is told by it
        request = wire.GenerateRequest(
            model=self.model,
            options=self._options(),
            constraint=self.constraint(),
            top_logprobs=alternatives,
            overflow=self.overflow or _OVERFLOWS.get(self.truncation),
            draft=self.draft,
            **what,
        )
        return [_with_seed(request, index) for index in range(count)]

    def _options(self) -> wire.Options:
        context_length = ("num_ctx", self.num_ctx or None)
        return self.options({"max_tokens": self.limit(), "context_length": context_length})


def _with_seed(request: wire.GenerateRequest, index: int) -> wire.GenerateRequest:
    seed = request.options.seed
    if seed is None or index == 0:
        return request
    options = request.options.model_copy(update={"seed": (seed + index) % SEEDS})
    return request.model_copy(update={"options": options})


class ChatBody(Generation):
    messages: list[Message] = Field(max_length=wire.MOST_MESSAGES)
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None

    def conversation(self) -> list[wire.Message]:
        """`developer` is OpenAI's newer name for what models call system. Raises BadField, Unsupported."""
        return [
            wire.Message(
                role="system" if message["role"] == "developer" else message["role"],
                content=text(f"messages[{index}].content", message.get("content"), self.model),
            )
            for index, message in enumerate(self.messages)
        ]

    def limit(self) -> tuple[str, int | None]:
        if self.max_completion_tokens is not None:
            return "max_completion_tokens", self.max_completion_tokens
        return super().limit()

    def alternatives(self) -> int | None:
        if self.top_logprobs and not self.logprobs:
            raise BadField("top_logprobs", "needs logprobs to be true")
        return limited("top_logprobs", self.top_logprobs or 0, wire.MOST_LOGPROBS) if self.logprobs else None


class CompletionBody(Generation):
    prompt: Annotated[Texts, Field(max_length=PROMPTS_LIMIT), AfterValidator(_none_empty)]
    # OpenAI's default: a text that is only continued has no natural end.
    max_tokens: int | None = 16
    logprobs: int | None = None
    best_of: int | None = None

    def written(self) -> int:
        count = super().written()
        if self.best_of is None:
            return count
        if self.stream and self.best_of > count:
            raise BadField("best_of", "which text is the best is known at the end: it cannot be streamed")
        return limited("best_of", self.best_of, CHOICES_LIMIT, least=count)

    def alternatives(self) -> int | None:
        return None if self.logprobs is None else limited("logprobs", self.logprobs, wire.MOST_LOGPROBS)
