"""What Ollama's clients send for a generation."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field

from runner import wire
from runner.api.errors import BadField
from runner.api.fields import Body, KeepAlive, Said, Sampling, limited, schema


class Options(Sampling):
    """With what Ollama has no word for under our names; options that nobody here knows are ignored."""

    num_predict: int | None = None
    num_ctx: int | None = None
    num_keep: int | None = None
    draft_num_predict: int | None = None
    draft: str | None = None
    overflow: wire.Overflow | None = None

    def ours(self) -> wire.Options:
        """Negative seeds mean random, negative `num_predict` no limit, `num_ctx` 0 auto. Raises BadField."""
        spelled = {
            "seed": ("seed", _unless_negative(self.seed)),
            "max_tokens": ("num_predict", _unless_negative(self.num_predict)),
            "context_length": ("num_ctx", self.num_ctx or None),
            "kept_tokens": ("num_keep", self.num_keep),
        }
        return self.options(spelled, "options.")


class Generation(Body):
    """What `/api/generate` and `/api/chat` share."""

    model: str
    stream: bool | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None
    format: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    truncate: bool | None = None
    shift: bool | None = None

    def asked(self, **what: Any) -> wire.GenerateRequest:
        """The request for `what`: a prompt or messages. Raises BadField."""
        options = self.options or Options()
        return wire.GenerateRequest(
            model=self.model,
            options=options.ours(),
            keep_alive_s=self.keep_alive,
            constraint=self._constraint(),
            top_logprobs=self._alternatives(),
            overflow=options.overflow or self._overflow(),
            speculation=options.draft_num_predict != 0,
            draft=options.draft,
            **what,
        )

    def _constraint(self) -> wire.Constraint | None:
        if self.format in (None, ""):
            return None
        if isinstance(self.format, str) and self.format != "json":
            raise BadField("format", '"json" or a JSON Schema is needed')
        return schema("format", None if self.format == "json" else self.format)

    def _alternatives(self) -> int | None:
        if self.top_logprobs:
            return limited("top_logprobs", self.top_logprobs, wire.MOST_LOGPROBS)
        return 0 if self.logprobs else None

    def _overflow(self) -> wire.Overflow | None:
        """Ollama's two switches, both on by default, as one choice; None if neither was touched."""
        if self.truncate is False:
            return "error"
        if self.shift:
            return "shift"
        return None if self.truncate is self.shift else "truncate"


class GenerateBody(Generation):
    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None


class Message(Said):
    role: wire.Role
    content: NotRequired[str | None]


class ChatBody(Generation):
    messages: Annotated[list[Message], Field(max_length=wire.MOST_MESSAGES)] | None = None


def _unless_negative(value: int | None) -> int | None:
    return value if value is not None and value >= 0 else None
