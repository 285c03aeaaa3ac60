"""One generation from request to last token: model, worker, prompt, events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from modelstore.gguf import read_header
from modelstore.header import Header
from modelstore.manifests import Manifest
from modelstore.store import Store
from runner import wire
from runner.errors import NoChatTemplate, WorkerFailed
from runner.placement import Wish
from runner.prep.pool import Prep
from runner.prompts import RenderJob
from runner.protocol import Constraint, Generate, Ready, Sampling
from runner.report import Event, Report
from runner.scheduler import Request
from runner.settings import Settings
from runner.supervisor import Supervisor, Target

_HEADERS_KEPT = 16


class Generations:
    """Turns requests into events, with the supervisor's workers and the prep child's templates."""

    def __init__(self, settings: Settings, store: Store, supervisor: Supervisor, prep: Prep) -> None:
        self._settings = settings
        self._store = store
        self._supervisor = supervisor
        self._prep = prep
        self._headers: dict[str, Header] = {}

    async def header(self, manifest: Manifest) -> Header:
        """The header of a model's file, without its long arrays; the last few are kept. Raises Unusable."""
        header = self._headers.get(manifest.digest)
        if header is None:
            path = await asyncio.to_thread(self._store.check, manifest)
            header = await asyncio.to_thread(_read_header, path)
            while len(self._headers) >= _HEADERS_KEPT:
                del self._headers[next(iter(self._headers))]
            self._headers[manifest.digest] = header
        return header

    async def run(
        self, request: wire.GenerateRequest, request_id: str, arrived_s: float
    ) -> AsyncGenerator[Event]:
        """`arrived_s` is a reading of `time.perf_counter`."""
        manifest = await asyncio.to_thread(self._store.get, request.model)
        if _is_empty(request) and request.keep_alive_s == 0:
            self._supervisor.unload(manifest.digest)
            yield wire.Done(model=manifest.name, reason="unload")
            return
        header = await self.header(manifest)
        if _needs_template(request) and header.chat_template is None:
            raise NoChatTemplate(
                f"{manifest.name} has no chat template: it continues text, and does not chat",
                hint="`nybble run` with a prompt, /api/generate or /v1/completions continue text",
            )
        claim = self._claim(request, request_id, manifest, header)
        async with self._supervisor.lease(*claim) as lease:
            if not self._supervisor.is_ready(manifest.digest):
                self._prep.warm_up()
                yield wire.Queued()
            async for fraction in lease.until_ready():
                yield wire.Loading(fraction=fraction)
            load_s = time.perf_counter() - arrived_s
            if lease.worker is None or lease.worker.ready is None:
                raise WorkerFailed(f"{manifest.name} was unloaded")
            if _is_empty(request):
                timings = wire.Timings(load_s=load_s, total_s=load_s)
                yield wire.Done(model=manifest.name, reason="load", timings=timings)
                return
            command = await self._command(request, request_id, header, lease.worker.ready)
            report = Report(manifest.name, arrived_s, load_s)
            async with aclosing(lease.worker.generate(command)) as updates:
                async for update in updates:
                    yield report.event(update)

    def _claim(
        self, request: wire.GenerateRequest, request_id: str, manifest: Manifest, header: Header
    ) -> tuple[Request, Target]:
        settings = self._settings
        wish = Wish(
            context_length=settings.context_length,
            least_context_length=request.options.context_length,
            slots=settings.num_parallel,
            gpu_layers=settings.gpu_layers,
        )
        keep_alive_s = settings.keep_alive_s if request.keep_alive_s is None else request.keep_alive_s
        path = self._store.blob_path(manifest.digest)
        return (
            Request(request_id, manifest.digest, header, wish, keep_alive_s),
            Target(manifest.name, path, manifest.size_bytes),
        )

    async def _command(
        self, request: wire.GenerateRequest, request_id: str, header: Header, ready: Ready
    ) -> Generate:
        prompt = await self._prompt(request, header, ready)
        # A template that writes the BOS token itself must not get a second one.
        has_bos = bool(ready.bos_text) and prompt[0].startswith(ready.bos_text)
        constraint = request.constraint
        return Generate(
            request_id,
            prompt,
            _sampling(request.options),
            add_bos=not has_bos,
            constraint=Constraint(constraint.kind, constraint.source, tuple(constraint.triggers))
            if constraint
            else None,
            top_logprobs=request.top_logprobs,
            overflow="shift" if request.overflow == "shift" else "error",
            speculation=request.speculation,
        )

    async def _prompt(self, request: wire.GenerateRequest, header: Header, ready: Ready) -> tuple[str, ...]:
        """Text segments. A prompt is one user message, unless it is raw or the model does not chat."""
        if request.messages is None and (request.raw or header.chat_template is None):
            return (request.prompt or "",)
        messages = [message.model_dump() for message in request.messages or []]
        if request.messages is None:
            messages = [{"role": "user", "content": request.prompt or ""}]
        if request.system and not any(message["role"] == "system" for message in messages):
            messages.insert(0, {"role": "system", "content": request.system})
        job = RenderJob(
            header.chat_template or "", messages, ready.bos_text, ready.eos_text, ready.control_tokens
        )
        return await self._prep.render(job)


def _read_header(path: Path) -> Header:
    with path.open("rb") as stream:
        return read_header(stream, path.stat().st_size).without_long_arrays()


def _is_empty(request: wire.GenerateRequest) -> bool:
    return not request.messages and not request.prompt


def _needs_template(request: wire.GenerateRequest) -> bool:
    return bool(request.messages)


def _sampling(options: wire.Options) -> Sampling:
    """The same options in the worker's words: equal names, tuples for lists."""
    values = options.model_dump(exclude={"context_length"})
    values |= {name: tuple(values[name]) for name in ("stop", "dry_sequence_breakers")}
    return Sampling(**values | {"logit_bias": tuple(options.logit_bias.items())})
