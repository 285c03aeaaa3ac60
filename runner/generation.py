"""One generation from request to last token: model, worker, prompt, events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from modelstore.header import Header
from runner import command, wire
from runner.claims import Ask, Claims
from runner.errors import CannotShift, NoChatTemplate, PromptTooLong, WorkerFailed, WrongPurpose
from runner.lookup import Lookup
from runner.prep.pool import Prep
from runner.process import Ended, Worker
from runner.prompts import RenderJob
from runner.protocol import Constraint, Ready
from runner.report import Event, Report
from runner.settings import Settings
from runner.supervisor import Supervisor


class Generations:
    """Turns requests into events, with the supervisor's workers and the prep child's templates."""

    def __init__(
        self, settings: Settings, lookup: Lookup, claims: Claims, supervisor: Supervisor, prep: Prep
    ) -> None:
        self._settings = settings
        self._lookup = lookup
        self._claims = claims
        self._supervisor = supervisor
        self._prep = prep

    async def run(
        self, request: wire.GenerateRequest, request_id: str, arrived_s: float, *, only_count: bool = False
    ) -> AsyncGenerator[Event]:
        """`arrived_s` is a reading of `time.perf_counter`. With `only_count` nothing is computed: Done says
        how many tokens the prompt has."""
        manifest = await self._lookup.manifest(request.model)
        if _is_empty(request) and request.keep_alive_s == 0:
            self._supervisor.unload(manifest.digest)
            yield wire.Done(model=manifest.name, reason="unload")
            return
        header = await self._lookup.header(manifest)
        if header.is_encoder:
            raise WrongPurpose(
                f'"{manifest.name}" does not support generate', hint="`/api/embed` embeds texts"
            )
        if request.messages and header.chat_template is None:
            raise NoChatTemplate(
                f"{manifest.name} has no chat template: it continues text, and does not chat",
                hint="`nybble run` with a prompt, /api/generate or /v1/completions continue text",
            )
        constraint = await self._prep.constraint(request.constraint)
        least = request.options.context_length
        ask = Ask(request_id, least, request.keep_alive_s, draft=request.draft)
        claimed, target = await self._claims.claim(manifest, ask)
        async with self._supervisor.lease(claimed, target) as lease:
            if not self._supervisor.is_ready(claimed.key):
                self._prep.warm_up()
            async for waiting in lease.until_ready():
                yield waiting
            load_s = time.perf_counter() - arrived_s
            if lease.worker is None:
                raise WorkerFailed(f"{manifest.name} was unloaded")
            if _is_empty(request):
                timings = wire.Timings(load_s=load_s, total_s=load_s)
                yield wire.Done(model=manifest.name, reason="load", timings=timings)
                return
            job = _Job(request_id, manifest.name, header, lease.worker.ready, lease.worker, constraint)
            request = self._spelled_out(request, job)
            if only_count:
                yield await self._count(job, request)
                return
            report = Report(manifest.name, arrived_s, load_s)

            def ended(end: object) -> None:
                """Nobody waits for a client that reads slowly. A prompt that was too long is asked again."""
                if not isinstance(end, PromptTooLong):
                    self._supervisor.release(lease)

            async with aclosing(self._answer(job, request, report, ended)) as events:
                async for event in events:
                    yield event

    def _spelled_out(self, request: wire.GenerateRequest, job: _Job) -> wire.GenerateRequest:
        """The request with what it left to the settings. Raises CannotShift if it asks for what the model
        cannot do; as a setting for all models, "shift" is only "truncate" for those that cannot."""
        overflow = request.overflow or self._settings.of(job.name).overflow
        if overflow == "shift" and not job.ready.can_shift:
            if request.overflow:
                raise CannotShift(
                    f"{job.name} cannot forget a part of its context (overflow `shift`)",
                    hint="`truncate` leaves out the oldest turns before the answer begins",
                )
            overflow = "truncate"
        messages = command.conversation(request, job.header)
        return request.model_copy(update={"overflow": overflow, "messages": messages})

    async def _answer(
        self, job: _Job, request: wire.GenerateRequest, report: Report, ended: Ended
    ) -> AsyncGenerator[Event]:
        """Ask the worker; while it counts too many tokens and turns may go, ask again without the oldest."""
        while True:
            prompt = await self._prompt(request, job)
            asked = command.generate(job.request_id, request, prompt, job.ready, job.constraint)
            try:
                async with aclosing(job.worker.generate(asked, ended)) as updates:
                    async for update in updates:
                        yield report.event(update)
                return
            except PromptTooLong as error:
                before = len(request.messages or ())
                request = command.shortened(request, asked, error)
                report.dropped_messages += before - len(request.messages or ())

    async def _count(self, job: _Job, request: wire.GenerateRequest) -> wire.Done:
        """A worker counts first, and refuses a prompt that leaves too little room: any, beside this much."""
        prompt = await self._prompt(request, job)
        asked = command.generate(job.request_id, request, prompt, job.ready, job.constraint)
        asked = msgspec.structs.replace(asked, room_tokens=job.ready.context_length)
        try:
            async with aclosing(job.worker.generate(asked)) as updates:
                await anext(updates)
        except PromptTooLong as error:
            usage = wire.Usage(prompt_tokens=error.prompt_tokens)
            return wire.Done(model=job.name, reason="stop", usage=usage)
        raise WorkerFailed(f"{job.name} did not count the prompt")

    async def _prompt(self, request: wire.GenerateRequest, job: _Job) -> tuple[str, ...]:
        """Text segments: the conversation in the model's template, or the prompt as it is."""
        if request.messages is None:
            return (request.prompt or "",)
        ready, template = job.ready, job.header.chat_template or ""
        render = RenderJob(template, request.messages, ready.bos_text, ready.eos_text, ready.control_tokens)
        return await self._prep.render(render)


@dataclass(frozen=True, slots=True)
class _Job:
    """One request with the model it got."""

    request_id: str
    name: str
    header: Header
    ready: Ready
    worker: Worker
    constraint: Constraint | None


def _is_empty(request: wire.GenerateRequest) -> bool:
    return not request.messages and not request.prompt
