"""What Anthropic's clients send, with what Anthropic has no word for under our names."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from runner import wire
from runner.api.errors import BadField, Unsupported
from runner.api.fields import Body, Sampling, refuse, schema

ABSENT = {
    "tools": "tools",
    "container": "containers",
    "mcp_servers": "MCP servers",
    "context_management": "context management",
    "compaction": "compaction",
}
_ABSENT_BLOCKS = {
    "image": "images",
    "document": "documents",
    "tool_use": "tools",
    "tool_result": "tools",
}
# What another model thought before: no template repeats it.
_IGNORED_BLOCKS = ("thinking", "redacted_thinking")


def _as_blocks(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Block(Body):
    """A part of a message. Its `cache_control` is ignored: what was computed once is reused anyway."""

    type: str
    text: str | None = None


Content = Annotated[
    list[Block], BeforeValidator(_as_blocks, json_schema_input_type=str | list[dict[str, Any]])
]


class Message(Body):
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
    messages: list[Message]
    system: Content | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    def conversation(self) -> list[wire.Message]:
        """The system's text first; turns of one role that follow each other are one, as Anthropic defines it.
        Raises BadField, and Unsupported for what cannot be done rather than doing something else."""
        self._check()
        said = [("system", self._text("system", self.system))] if self.system else []
        said += [
            (message.role, self._text(f"messages[{index}].content", message.content))
            for index, message in enumerate(self.messages)
        ]
        return [
            wire.Message(role=role, content="\n".join(text for _, text in turn))
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

    def _text(self, field: str, blocks: list[Block]) -> str:
        texts = []
        for index, block in enumerate(blocks):
            if block.type in _IGNORED_BLOCKS:
                continue
            if block.type != "text":
                what = _ABSENT_BLOCKS.get(block.type, f"content of type {block.type[:40]!r}")
                raise Unsupported(f"{field}[{index}]", self.model, what)
            if block.text is None:
                raise BadField(f"{field}[{index}].text", "a text is needed")
            texts.append(block.text)
        return "\n".join(texts)


class MessagesBody(CountBody, Sampling):
    """`overflow` and `draft` are our own."""

    max_tokens: int
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    overflow: wire.Overflow | None = None
    draft: str | None = None

    def asked(self) -> wire.GenerateRequest:
        """Raises BadField, Unsupported."""
        messages = self.conversation()
        if self.messages[-1].role == "assistant":
            last = f"messages[{len(self.messages) - 1}].role"
            raise BadField(last, "an answer that has begun cannot be continued: the last turn is the user's")
        spelled = {
            "max_tokens": ("max_tokens", self.max_tokens),
            "stop": ("stop_sequences", self.stop_sequences or self.stop),
        }
        form = self.output_config.format if self.output_config else None
        return wire.GenerateRequest(
            model=self.model,
            messages=messages,
            options=self.options(spelled),
            constraint=schema("output_config.format.schema", form.json_schema) if form else None,
            overflow=self.overflow,
            draft=self.draft,
        )
