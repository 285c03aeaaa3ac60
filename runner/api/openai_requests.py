"""What OpenAI's clients send, and the extensions of llama-server and vLLM that their users know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from runner import wire
from runner.api.content import Content, text
from runner.api.errors import BadField
from runner.api.fields import Body, Sampling, limited, schema

CHOICES_LIMIT = 16
SEEDS = 2**32

# Fields that hold a grammar, and its language.
_GRAMMARS: dict[str, Literal["gbnf", "regex", "lark"]] = {
    "grammar": "gbnf",
    "guided_regex": "regex",
    "guided_grammar": "lark",
}
_OVERFLOWS: dict[str | None, wire.Overflow] = {"auto": "truncate", "disabled": "error"}


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
    content: Content | None = None


class StreamOptions(Body):
    include_usage: bool | None = None


class NamedSchema(Body):
    json_schema: Any = Field(None, alias="schema")


class ResponseFormat(Body):
    """`schema` beside the type is llama-server's way to say it."""

    type: Literal["text", "json_object", "json_schema"]
    named: NamedSchema | None = Field(None, alias="json_schema")
    beside: Any = Field(None, alias="schema")

    def constraint(self) -> wire.Constraint | None:
        """Raises BadField."""
        if self.type == "text":
            return None
        if self.type == "json_object":
            return schema("response_format.schema", self.beside)
        inner = self.named.json_schema if self.named else None
        if inner is None:
            raise BadField("response_format.json_schema.schema", "a schema is needed")
        return schema("response_format.json_schema.schema", inner)


class Generation(Sampling, ABC):
    """What both completion routes share."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    response_format: ResponseFormat | None = None
    grammar: str | None = None
    guided_regex: str | None = None
    guided_grammar: str | None = None
    truncation: Literal["auto", "disabled"] | None = None
    draft: str | None = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def limit(self) -> tuple[str, int | None]:
        """The field that limits the answer, and its value in tokens."""
        return "max_tokens", self.max_tokens

    @abstractmethod
    def alternatives(self) -> int | None:
        """How many alternatives to report with each token; None reports no probabilities. Raises BadField."""

    def constrained_by(self) -> str:
        """The field that constrains the output."""
        return next((field for field in _GRAMMARS if getattr(self, field)), "response_format")

    def asked(self, **what: Any) -> list[wire.GenerateRequest]:
        """One request for each choice, for `what`: a prompt or messages. With a seed, each choice has the one
        after the one before. Raises BadField."""
        count = limited("n", 1 if self.n is None else self.n, CHOICES_LIMIT, least=1)
        request = wire.GenerateRequest(
            model=self.model,
            options=self._options(),
            constraint=self._constraint(),
            top_logprobs=self.alternatives(),
            overflow=_OVERFLOWS.get(self.truncation),
            draft=self.draft,
            **what,
        )
        return [_with_seed(request, index) for index in range(count)]

    def _options(self) -> wire.Options:
        """Any 64-bit seed is good: it is folded into the 32 bits that the sampler takes."""
        seed = self.seed
        if seed is not None and -(2**63) <= seed < 2**64:
            seed %= SEEDS
        return self.options({"seed": ("seed", seed), "max_tokens": self.limit()})

    def _constraint(self) -> wire.Constraint | None:
        found = [
            wire.Constraint(kind=kind, source=source)
            for field, kind in _GRAMMARS.items()
            if (source := getattr(self, field))
        ]
        if self.response_format and (constraint := self.response_format.constraint()):
            found.append(constraint)
        if len(found) > 1:
            raise BadField(self.constrained_by(), "only one constraint on the output is possible")
        return found[0] if found else None


def _with_seed(request: wire.GenerateRequest, index: int) -> wire.GenerateRequest:
    seed = request.options.seed
    if seed is None or index == 0:
        return request
    options = request.options.model_copy(update={"seed": (seed + index) % SEEDS})
    return request.model_copy(update={"options": options})


class ChatBody(Generation):
    messages: list[Message]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: str | None = None
    modalities: list[str] | None = None

    def conversation(self) -> list[wire.Message]:
        """`developer` is OpenAI's newer name for what models call system. Raises BadField, Unsupported."""
        return [
            wire.Message(
                role="system" if message.role == "developer" else message.role,
                content=text(f"messages[{index}].content", message.content, self.model),
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
    # A type that is not a union, so that a problem has one place and one sentence.
    prompt: Annotated[str, BeforeValidator(_one_prompt, json_schema_input_type=str | list[str])]
    # OpenAI's default: a text that is only continued has no natural end.
    max_tokens: int | None = 16
    logprobs: int | None = None
    best_of: int | None = None

    def alternatives(self) -> int | None:
        return None if self.logprobs is None else limited("logprobs", self.logprobs, wire.MOST_LOGPROBS)
