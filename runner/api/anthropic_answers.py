"""What Anthropic's clients expect: a message, whole or as events.

Events are mappings, since one is built for each token; together they say what the whole message does.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Literal, NotRequired

# The standard library's lacks what pydantic needs to describe it, before Python 3.12.
from typing_extensions import TypedDict

from runner import wire
from runner.api.stream import collected, until_done
from runner.report import Event


class Usage(TypedDict):
    """Of the prompt, `cache_read_input_tokens` were not computed again and `input_tokens` were. The last four
    are there unless they are 0: speculation, and what a full context lost."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    drafted_tokens: NotRequired[int]
    accepted_tokens: NotRequired[int]
    dropped_messages: NotRequired[int]
    shifted_tokens: NotRequired[int]


class TextBlock(TypedDict):
    type: Literal["text"]
    text: str


StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "model_context_window_exceeded"]


class Message(TypedDict):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[TextBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: Usage


class TokenCount(TypedDict):
    input_tokens: int


Fields = Mapping[str, object]


class Answer:
    """The answer to one request for at most `max_tokens` tokens."""

    def __init__(self, model: str, max_tokens: int) -> None:
        self._model = model
        self._max_tokens = max_tokens

    async def whole(self, events: AsyncGenerator[Event]) -> Message:
        text, _, done = await collected(events)
        message = self._message(usage(done.usage))
        message["content"] = [{"type": "text", "text": text}]
        message["stop_reason"] = self._stop_reason(done)
        message["stop_sequence"] = done.stop
        return message

    async def stream(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Fields]:
        """Begins as soon as the prompt is worked on: from then on the client hears that we are alive."""
        begun = False
        async with aclosing(until_done(events)) as running:
            async for event in running:
                if isinstance(event, wire.Queued | wire.Loading | wire.Reloading):
                    continue
                if not begun:
                    begun = True
                    yield {"type": "message_start", "message": self._message(_usage_so_far(event))}
                    block = {"type": "text", "text": ""}
                    yield {"type": "content_block_start", "index": 0, "content_block": block}
                if isinstance(event, wire.TextDelta) and event.text:
                    delta = {"type": "text_delta", "text": event.text}
                    yield {"type": "content_block_delta", "index": 0, "delta": delta}
                elif isinstance(event, wire.Done):
                    yield {"type": "content_block_stop", "index": 0}
                    end = {"stop_reason": self._stop_reason(event), "stop_sequence": event.stop}
                    yield {"type": "message_delta", "delta": end, "usage": usage(event.usage)}
                    yield {"type": "message_stop"}

    def _message(self, usage: Usage) -> Message:
        """One that has not ended."""
        return {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }

    def _stop_reason(self, done: wire.Done) -> StopReason:
        """A cancelled answer ended, too; Anthropic has no word of its own for it."""
        if done.stop is not None:
            return "stop_sequence"
        if done.reason != "length":
            return "end_turn"
        is_limit = done.usage.completion_tokens >= self._max_tokens
        return "max_tokens" if is_limit else "model_context_window_exceeded"


def usage(total: wire.Usage) -> Usage:
    counts: Usage = {
        "input_tokens": total.prompt_tokens - total.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": total.cached_tokens,
        "output_tokens": total.completion_tokens,
    }
    if total.drafted_tokens:
        counts["drafted_tokens"] = total.drafted_tokens
        counts["accepted_tokens"] = total.accepted_tokens
    if total.dropped_messages:
        counts["dropped_messages"] = total.dropped_messages
    if total.shifted_tokens:
        counts["shifted_tokens"] = total.shifted_tokens
    return counts


def _usage_so_far(event: Event) -> Usage:
    """What is known when a message begins; the rest, and what was cached, comes with its end."""
    prompt_tokens = event.total_tokens if isinstance(event, wire.Prefilling) else 0
    return usage(wire.Usage(prompt_tokens=prompt_tokens))
