"""From questions to prompts in a model's chat template, rendered in the prep child under its limits."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelstore.header import Header
from runner.compare.blocks import Tokenizer
from runner.compare.scoring import Loaded
from runner.errors import TemplateFailed
from runner.prep.pool import Prep
from runner.prompts import RenderJob

_QUESTION = "Which of these two rivers is the longer one"
_ANSWER = "That depends on where one begins to measure"
# What templates call the side that answers. That an answer in a history begins with more than the prompt ends
# with is no fault by itself: some put thoughts or a channel there.
_ANSWERING = re.compile(r"assistant|model|response|answer|bot\b|gpt|\bai\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat template, and the texts of the vocabulary's tokens that it needs."""

    template: str
    bos_text: str
    eos_text: str
    control_tokens: tuple[str, ...]

    @classmethod
    def of(cls, loaded: Loaded, header: Header) -> Chat | None:
        """None for a file without a chat template."""
        if not header.chat_template:
            return None
        return cls(header.chat_template, loaded.bos_text, loaded.eos_text, tuple(loaded.control_tokens))

    def job(self, *contents: str) -> RenderJob:
        """`contents` are what user and assistant say in turn."""
        messages = [
            {"role": "assistant" if index % 2 else "user", "content": content}
            for index, content in enumerate(contents)
        ]
        return RenderJob(self.template, messages, self.bos_text, self.eos_text, self.control_tokens)


def template_digest(template: str | None) -> str | None:
    """sha256 (hex) of the template's text; None for plain text."""
    return None if template is None else hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()


def rendered(chat: Chat, questions: Sequence[str]) -> list[tuple[str, ...]]:
    """For each question the prompt in text segments, as `runner.prompts.render` makes them.

    Raises TemplateFailed for a template that fails, runs past its limits, leaves out what the user says, or
    does not begin the answer; WorkerFailed if there is no prep child.
    """
    return asyncio.run(_rendered(chat, questions))


async def _rendered(chat: Chat, questions: Sequence[str]) -> list[tuple[str, ...]]:
    prep = Prep()
    try:
        await _check(prep, chat)
        prompts = [await prep.render(chat.job(question)) for question in questions]
    finally:
        await prep.close()
    for question, prompt in zip(questions, prompts, strict=True):
        _behind(question, prompt)
    return prompts


async def _check(prep: Prep, chat: Chat) -> None:
    ends = _behind(_QUESTION, await prep.render(chat.job(_QUESTION)))
    try:
        history = _behind(_QUESTION, await prep.render(chat.job(_QUESTION, _ANSWER)))
    except TemplateFailed:
        return  # it takes single questions only, and these are all we ask
    between, found, _ = history.partition(_ANSWER)
    if found and _ANSWERING.search(between) and not _ANSWERING.search(ends):
        raise TemplateFailed(
            "the model's chat template does not begin the assistant's answer",
            hint="it ignores add_generation_prompt: the model would go on speaking for the user",
        )


def _behind(question: str, prompt: tuple[str, ...]) -> str:
    """What follows the question."""
    _, found, rest = "".join(prompt).rpartition(question.strip())
    if not found:
        raise TemplateFailed("the model's chat template leaves out what the user says")
    return rest


def prompt_tokens(tokenizer: Tokenizer, chat: Chat, prompt: tuple[str, ...]) -> list[int]:
    """As a worker makes them (`runner.command`, `runner.worker.engine`): segment by segment, and no second
    beginning where the template writes one itself."""
    has_beginning = bool(chat.bos_text) and prompt[0].startswith(chat.bos_text)
    tokens: list[int] = []
    for index, segment in enumerate(prompt):
        add_special = index == 0 and not has_beginning
        tokens += tokenizer.tokenize(segment, add_special=add_special, parse_special=True)
    return tokens
