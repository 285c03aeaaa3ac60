"""The daemon's side of the prep children: one for templates, one for constraints."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from modelstore.errors import UserError
from runner import wire
from runner.errors import InvalidConstraint, TemplateFailed, WorkerFailed
from runner.prep.child import DEADLINE_S, Child, WarmChild
from runner.prompts import OUTPUT_LIMIT_CHARACTERS, RenderJob
from runner.protocol import Constraint

_GRAMMARS_KEPT = 16


class Prep:
    """Renders chat templates and checks constraints in children that hostile ones may kill."""

    def __init__(self) -> None:
        self._templates = WarmChild()
        self._constraints = WarmChild()
        self._warming: asyncio.Task[None] | None = None
        self._grammars: dict[tuple[str, str], str] = {}

    def warm_up(self) -> None:
        """Start a child in the background, while the model loads; what may fail here, `render` reports."""
        if self._templates.is_cold:
            self._warming = asyncio.create_task(self._start_quietly())

    async def _start_quietly(self) -> None:
        with contextlib.suppress(WorkerFailed, OSError):
            await self._templates.warm_up()

    async def render(self, job: RenderJob) -> tuple[str, ...]:
        """As `runner.prompts.render`. Raises UserError for more than can be rendered; TemplateFailed also
        when the template takes more than 2 s, too much memory, or its process down;
        WorkerFailed if there is none.
        """
        size = sum(len(message["content"]) for message in job.messages)
        if size > OUTPUT_LIMIT_CHARACTERS:
            limit = f"{OUTPUT_LIMIT_CHARACTERS:,}"
            raise UserError(f"the conversation has {size:,} characters, and the limit is {limit}")
        try:
            answer = await self._templates.ask(lambda child: _template_question(child, job))
        except TimeoutError as error:
            raise TemplateFailed(
                f"the model's chat template ran for more than {DEADLINE_S:g} s and was stopped"
            ) from error
        except (EOFError, ConnectionError) as error:
            raise TemplateFailed("the model's chat template crashed the process that rendered it") from error
        if failed := answer.get("failed"):
            raise TemplateFailed(failed["message"], hint=failed["hint"])
        return tuple(answer["segments"])

    async def constraint(self, asked: wire.Constraint | None) -> Constraint | None:
        """For a worker. Raises InvalidConstraint; WorkerFailed if no child can be started."""
        if asked is None:
            return None
        key = asked.kind, asked.source
        grammar = self._grammars.pop(key, None)
        if grammar is None:
            grammar = await self._compiled(*key)
        while len(self._grammars) >= _GRAMMARS_KEPT:
            del self._grammars[next(iter(self._grammars))]
        self._grammars[key] = grammar
        return Constraint(grammar, tuple(asked.triggers))

    async def _compiled(self, kind: str, source: str) -> str:
        question = {"constraint": {"kind": kind, "source": source}}
        try:
            answer = await self._constraints.ask(lambda _child: question)
        except TimeoutError as error:
            raise InvalidConstraint(
                f"checking the constraint took more than {DEADLINE_S:g} s and was stopped"
            ) from error
        except (EOFError, ConnectionError) as error:
            raise InvalidConstraint(
                "checking the constraint took more than 512 MiB of memory or 1 MiB of stack",
                hint="rules or references that lead to each other in a long chain need much stack",
            ) from error
        if failed := answer.get("failed"):
            raise InvalidConstraint(failed["message"], hint=failed["hint"])
        return str(answer["grammar"])

    async def close(self) -> None:
        if self._warming is not None:
            await self._warming
        await self._templates.close()
        await self._constraints.close()


def _template_question(child: Child, job: RenderJob) -> dict[str, Any]:
    model = (job.template, job.bos_text, job.eos_text, job.control_tokens)
    question: dict[str, Any] = {"model": child.known.get(model), "messages": job.messages}
    if question["model"] is None:
        question["model"] = child.known[model] = len(child.known)
        names = ("template", "bos_text", "eos_text", "control_tokens")
        question["define"] = dict(zip(names, model, strict=True))
    return question
