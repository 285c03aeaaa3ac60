"""What a message of OpenAI's and Anthropic's clients says: a text, or a list of parts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

from runner.api.errors import BadField, Unsupported
from runner.api.fields import Body

_ABSENT = {
    "image": "images",
    "image_url": "images",
    "input_audio": "audio",
    "document": "documents",
    "file": "files",
    "tool_use": "tools",
    "tool_result": "tools",
}
# What another model thought before: no template repeats it.
_IGNORED = ("thinking", "redacted_thinking")


def _text_or(content: Any, parts: ValidatorFunctionWrapHandler) -> Any:
    return content if isinstance(content, str) else parts(content)


class Part(Body):
    """Its `cache_control` is ignored: what was computed once is reused anyway."""

    type: str
    text: str | None = None


Content = Annotated[list[Part], WrapValidator(_text_or, json_schema_input_type=str | list[dict[str, Any]])]
"""Or a text: a union would name both in its errors."""


def text(field: str, content: str | list[Part] | None, model: str) -> str:
    """`content`, which came in `field`, or the texts of its parts joined by line ends. Raises BadField,
    and Unsupported for what `model` would not see."""
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content or ()):
        if part.type in _IGNORED:
            continue
        if part.type != "text":
            what = _ABSENT.get(part.type, f"content of type {part.type[:40]!r}")
            raise Unsupported(f"{field}[{index}]", model, what)
        if part.text is None:
            raise BadField(f"{field}[{index}].text", "a text is needed")
        texts.append(part.text)
    return "\n".join(texts)
