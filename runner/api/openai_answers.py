"""What OpenAI's clients expect: an answer of one or more choices, whole or in chunks.

Chunks are mappings, since one is built for each token; their fields are those of the whole answer.
"""

from __future__ import annotations

import math
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import ClassVar, Literal, NotRequired

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner import wire
from runner.api.choices import Numbered
from runner.api.logprobs import ChatLogprobs, TextLogprobs, TextPosition, chat_logprobs
from runner.api.openai_requests import Generation


class PromptDetails(TypedDict):
    cached_tokens: int


class CompletionDetails(TypedDict):
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(TypedDict):
    """Of all choices; a prompt counts once. The last two are there only if the context was full."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
    dropped_messages: NotRequired[int]
    shifted_tokens: NotRequired[int]


class ChatMessage(TypedDict):
    role: Literal["assistant"]
    content: str


class ChatChoice(TypedDict):
    index: int
    message: ChatMessage
    finish_reason: str
    logprobs: ChatLogprobs | None


class TextChoice(TypedDict):
    index: int
    text: str
    finish_reason: str | None
    logprobs: TextLogprobs | None


class _Answer(TypedDict):
    id: str
    object: str
    created: int
    model: str
    usage: NotRequired[Usage]


class ChatCompletion(_Answer):
    choices: list[ChatChoice]


class Completion(_Answer):
    choices: list[TextChoice]


Fields = Mapping[str, object]


class Answers(ABC):
    """The answer to one request, `whole` or in `chunks`, from what `count` generations say: all those of the
    first prompt, then those of the next."""

    id_prefix: ClassVar[str]
    kind: ClassVar[str]
    kind_of_chunk: ClassVar[str]
    opening: ClassVar[Fields | None]
    """Fields of a choice's first chunk, before its text."""

    def __init__(self, body: Generation, count: int) -> None:
        """Raises BadField."""
        self._head = {
            "id": f"{self.id_prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body.model,
        }
        self._count = count
        self._written, self._answered = body.written(), body.n or 1
        self._has_logprobs = body.alternatives() is not None
        self._includes_usage = body.includes_usage
        self._positions = [TextPosition() for _ in range(count)]

    @abstractmethod
    def message(self, text: str) -> Fields:
        """Fields of a choice with its whole text."""

    @abstractmethod
    def piece(self, text: str) -> Fields:
        """Fields of a chunk's choice with a part of its text, which is empty at the end."""

    @abstractmethod
    def logprobs(self, index: int, tokens: Iterable[wire.TokenLogprob]) -> object:
        """Those of the next tokens of choice `index`."""

    async def whole(self, events: Numbered) -> Fields:
        texts: list[list[str]] = [[] for _ in range(self._count)]
        tokens: list[list[wire.TokenLogprob]] = [[] for _ in range(self._count)]
        ends: dict[int, wire.Done] = {}
        async with aclosing(events) as running:
            async for index, event in running:
                if isinstance(event, wire.TextDelta):
                    texts[index].append(event.text)
                    tokens[index] += event.logprobs or ()
                elif isinstance(event, wire.Done):
                    ends[index] = event
        choices = [
            self._choice(index, self.message("".join(texts[best])), tokens[best], ends[best])
            for index, best in enumerate(self._best(tokens))
        ]
        return {**self._head, "object": self.kind, "choices": choices, "usage": self._usage(ends)}

    async def chunks(self, events: Numbered) -> AsyncGenerator[Fields]:
        """The opening as soon as the prompt is worked on: from then on the client hears that we are alive."""
        begun: set[int] = set()
        ends: dict[int, wire.Done] = {}
        async with aclosing(events) as running:
            async for index, event in running:
                if isinstance(event, wire.Queued | wire.Loading | wire.Reloading):
                    continue
                if index not in begun:
                    begun.add(index)
                    if self.opening is not None:
                        yield self._chunk(self._choice(index, self.opening))
                if isinstance(event, wire.TextDelta) and (event.text or event.logprobs):
                    yield self._chunk(self._choice(index, self.piece(event.text), event.logprobs))
                elif isinstance(event, wire.Done):
                    ends[index] = event
                    chunk = self._chunk(self._choice(index, self.piece(""), done=event))
                    yield {**chunk, **self._confession(ends)}
        if self._includes_usage:
            yield {**self._chunk(), "usage": self._usage(ends)}

    def _best(self, tokens: Sequence[Sequence[wire.TokenLogprob]]) -> Iterator[int]:
        """Indexes of the texts to answer with: of each prompt's, those of the highest log probability a
        token."""
        for first in range(0, self._count, self._written):
            written = range(first, first + self._written)
            by_likelihood = sorted(written, key=lambda index: _likelihood(tokens[index]), reverse=True)
            yield from sorted(by_likelihood[: self._answered])

    def _choice(
        self,
        index: int,
        fields: Fields,
        tokens: Iterable[wire.TokenLogprob] | None = None,
        done: wire.Done | None = None,
    ) -> Fields:
        return {
            "index": index,
            **fields,
            "finish_reason": finish_reason(done) if done else None,
            "logprobs": self.logprobs(index, tokens) if tokens and self._has_logprobs else None,
        }

    def _chunk(self, *choices: Fields) -> Fields:
        return {**self._head, "object": self.kind_of_chunk, "choices": choices}

    def _confession(self, ends: Mapping[int, wire.Done]) -> Fields:
        """For the last choice's end: whoever did not ask for the usage hears of what was left out, too."""
        if len(ends) < self._count or self._includes_usage:
            return {}
        total = self._usage(ends)
        return {"usage": total} if total.keys() & {"dropped_messages", "shifted_tokens"} else {}

    def _usage(self, ends: Mapping[int, wire.Done]) -> Usage:
        """Of all generations, by index."""
        every = [ends[index].usage for index in range(self._count)]
        # The choices of one prompt come one after the other, and it counts once.
        prompts = every[:: self._written]
        prompt = sum(each.prompt_tokens for each in prompts)
        completion = sum(each.completion_tokens for each in every)
        accepted = sum(each.accepted_tokens for each in every)
        total: Usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": sum(each.cached_tokens for each in prompts)},
            "completion_tokens_details": {
                "accepted_prediction_tokens": accepted,
                "rejected_prediction_tokens": sum(each.drafted_tokens for each in every) - accepted,
            },
        }
        if dropped := sum(each.dropped_messages for each in prompts):
            total["dropped_messages"] = dropped
        if shifted := sum(each.shifted_tokens for each in every):
            total["shifted_tokens"] = shifted
        return total


class ChatAnswers(Answers):
    id_prefix = "chatcmpl"
    kind = "chat.completion"
    kind_of_chunk = "chat.completion.chunk"
    opening: ClassVar[Fields | None] = {"delta": {"role": "assistant", "content": ""}}

    def message(self, text: str) -> Fields:
        return {"message": {"role": "assistant", "content": text}}

    def piece(self, text: str) -> Fields:
        return {"delta": {"content": text} if text else {}}

    def logprobs(self, index: int, tokens: Iterable[wire.TokenLogprob]) -> ChatLogprobs:
        return chat_logprobs(tokens)


class TextAnswers(Answers):
    id_prefix = "cmpl"
    kind = kind_of_chunk = "text_completion"
    opening = None

    def message(self, text: str) -> Fields:
        return {"text": text}

    piece = message

    def logprobs(self, index: int, tokens: Iterable[wire.TokenLogprob]) -> TextLogprobs:
        return self._positions[index].logprobs(tokens)


def _likelihood(tokens: Sequence[wire.TokenLogprob]) -> float:
    """An empty text is not a likely one."""
    return sum(token.logprob for token in tokens) / len(tokens) if tokens else -math.inf


def finish_reason(done: wire.Done) -> str:
    """A cancelled answer stopped too; OpenAI has no word of its own for it."""
    return "length" if done.reason == "length" else "stop"
