"""What constrains the output of OpenAI's routes: its own field, and those of llama-server and vLLM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from pydantic import Field

from runner import wire
from runner.api.errors import BadField
from runner.api.fields import Body, schema

_Language = Literal["gbnf", "regex", "lark"]


class ResponseFormat(Body):
    """`schema` beside the type is llama-server's way to say it."""

    type: Literal["text", "json_object", "json_schema"]
    named: dict[str, Any] | None = Field(None, alias="json_schema")
    beside: Any = Field(None, alias="schema")

    def constraint(self) -> wire.Constraint | None:
        """Raises BadField."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return schema("response_format.schema", self.beside)
        inner = (self.named or {}).get("schema")
        if inner is None:
            raise BadField("response_format.json_schema.schema", "a schema is needed")
        return schema("response_format.json_schema.schema", inner)


class StructuredOutputs(Body):
    """vLLM's, since 0.12; before, each was a field of the body."""

    json_schema: Any = Field(None, alias="json")
    regex: str | None = Field(None, min_length=1)
    choice: list[str] | None = Field(None, min_length=1)
    grammar: str | None = Field(None, min_length=1)

    def constraints(self, prefix: str) -> Iterator[tuple[str, wire.Constraint]]:
        """Each with the name of its field. Raises BadField."""
        sources: tuple[tuple[str, _Language, str | None], ...] = (
            ("regex", "regex", self.regex),
            ("choice", "lark", _one_of(self.choice)),
            ("grammar", "lark", self.grammar),
        )
        for name, kind, source in sources:
            if source:
                yield prefix + name, wire.Constraint(kind=kind, source=source)
        if self.json_schema is not None:
            yield prefix + "json", schema(prefix + "json", self.json_schema)


class Constrained(Body):
    """A request that may constrain its output, in one way."""

    response_format: ResponseFormat | None = None
    grammar: str | None = None
    json_schema: Any = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: Any = None
    guided_regex: str | None = Field(None, min_length=1)
    guided_choice: list[str] | None = Field(None, min_length=1)
    guided_grammar: str | None = Field(None, min_length=1)

    def constrained_by(self) -> str:
        """The field that constrains the output. Raises BadField."""
        return next(iter(self._constraints()), "response_format")

    def constraint(self) -> wire.Constraint | None:
        """Raises BadField."""
        found = self._constraints()
        if len(found) > 1:
            raise BadField(self.constrained_by(), "only one constraint on the output is possible")
        return next(iter(found.values()), None)

    def _constraints(self) -> dict[str, wire.Constraint]:
        """By the field that holds each."""
        guided = {"json": self.guided_json, "regex": self.guided_regex}
        guided |= {"choice": self.guided_choice, "grammar": self.guided_grammar}
        found = {"grammar": wire.Constraint(kind="gbnf", source=self.grammar)} if self.grammar else {}
        if self.json_schema is not None:
            found["json_schema"] = schema("json_schema", self.json_schema)
        found |= StructuredOutputs(**guided).constraints("guided_")
        if self.structured_outputs:
            found |= self.structured_outputs.constraints("structured_outputs.")
        if self.response_format and (constraint := self.response_format.constraint()):
            found["response_format"] = constraint
        return found


def _one_of(texts: list[str] | None) -> str | None:
    """Lark for one of `texts`: its strings are JSON's."""
    return "start: " + " | ".join(msgspec.json.encode(text).decode() for text in texts) if texts else None
