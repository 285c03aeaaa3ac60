"""What Anthropic's clients send, with what Anthropic has no word for under our names."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Literal

from pydantic import Field

from runner import wire
from runner.api.content import Content, text
from runner.api.errors import BadField, Unsupported
from runner.api.fields import Body, Said, Sampling, refuse, schema

ABSENT = {
    "tools": "tools",
    "container": "containers",
    "mcp_servers": "MCP servers",
    "context_management": "context management",
    "compaction": "compaction",
}


class Message(Said):
    role: Literal["user", "assistant", "system"]
    content: Content


class ToolChoice(Body):
    type: Literal["auto", "any", "tool", "none"]


class Thinking(Body):
    type: str


class Format(Body):
    type: Literal["json_schema"]
    json_schema: dict[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    effort: str | None = None
    format: Format | None = None


class CountBody(Body):
    """What both routes share."""

    model: str
    messages: list[Message] = Field(max_length=wire.MOST_MESSAGES)
    system: Content | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    def conversation(self) -> list[wire.Message]:
        """The system's text first; turns of one role that follow each other are one, as Anthropic defines it.
        Raises BadField, and Unsupported for what cannot be done rather than doing something else."""
        self._check()
        said = [("system", text("system", self.system, self.model))] if self.system else []
        said += [
            (message["role"], text(f"messages[{index}].content", message["content"], self.model))
            for index, message in enumerate(self.messages)
        ]
        return [
            wire.Message(role=role, content="\n".join(words for _, words in turn))
            for role, turn in groupby(said, lambda each: each[0])
        ]

    def _check(self) -> None:
        if not self.messages:
            raise BadField("messages", "at least one message is needed")
        refuse(self, self.model, ABSENT)
        if self.tool_choice and self.tool_choice.type in ("any", "tool"):
            raise Unsupported("tool_choice", self.model, "tools")
        if self.thinking and self.thinking.type != "disabled":
            raise Unsupported("thinking", self.model, "thinking")
        # The others are a wish to think or to say less or more; "high" is what is meant when it is absent.
        if self.output_config and self.output_config.effort not in (None, "high"):
            raise Unsupported("output_config.effort", self.model, "levels of effort")


class MessagesBody(CountBody, Sampling):
    """`num_ctx`, `overflow` and `draft` are our own; `output_format` is where Anthropic's beta had the
    schema."""

    max_tokens: int
    output_format: Format | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    num_ctx: int | None = None
    overflow: wire.Overflow | None = None
    draft: str | None = None

    def asked(self) -> wire.GenerateRequest:
        """Raises BadField, Unsupported."""
        messages = self.conversation()
        if self.messages[-1]["role"] == "assistant":
            last = f"messages[{len(self.messages) - 1}].role"
            raise BadField(last, "an answer that has begun cannot be continued: the last turn is the user's")
        spelled = {
            "max_tokens": ("max_tokens", self.max_tokens),
            "stop": ("stop_sequences", self.stop_sequences or self.stop),
            "context_length": ("num_ctx", self.num_ctx or None),
        }
        form = (self.output_config and self.output_config.format) or self.output_format
        return wire.GenerateRequest(
            model=self.model,
            messages=messages,
            options=self.options(spelled),
            constraint=schema("output_config.format.schema", form.json_schema) if form else None,
            overflow=self.overflow,
            draft=self.draft,
        )
