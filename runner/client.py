"""The daemon's HTTP client: the one way in for the CLI and the TUI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from modelstore.errors import NybbleError
from runner import wire
from runner.errors import DaemonUnreachable, RemoteError
from runner.exchange import exchange

if TYPE_CHECKING:
    import httpx

    from runner.compare.export import Format
    from runner.wire.compare import CompareEvent, CompareRequest, Comparison, ComparisonInfo

_AT_FIRST_USE = ConfigDict(defer_build=True)
_GENERATION: TypeAdapter[wire.GenerationEvent] = TypeAdapter(wire.GenerationEvent, config=_AT_FIRST_USE)
_JOB: TypeAdapter[wire.JobEvent] = TypeAdapter(wire.JobEvent, config=_AT_FIRST_USE)
_Job = AsyncGenerator[wire.JobProgress | wire.JobDone]
_Model = TypeVar("_Model", bound=BaseModel)
_Event = TypeVar("_Event")


class Client:
    """Typed calls to one daemon. Every method raises RemoteError for what the daemon reported and
    DaemonUnreachable if nobody answers; closing a stream early cancels the work behind it."""

    def __init__(self, address: str) -> None:
        """`address` is `http://host:port`."""
        self.address = address
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def health(self) -> wire.Health:
        return await self._get("/nybble/health", wire.Health)

    async def shutdown(self) -> None:
        await self._call("POST", "/nybble/shutdown")

    # Models

    async def models(self) -> list[wire.ModelInfo]:
        """Local models, newest first."""
        return await self._list("/nybble/models", wire.ModelInfo)

    async def show(self, name: str) -> wire.ModelDetail:
        return await self._post("/nybble/show", wire.NameRequest(name=name), wire.ModelDetail)

    async def loaded(self) -> list[wire.LoadedModel]:
        return await self._list("/nybble/ps", wire.LoadedModel)

    async def remove(self, name: str) -> wire.RemoveResult:
        return await self._post("/nybble/remove", wire.NameRequest(name=name), wire.RemoveResult)

    async def copy(self, source: str, destination: str) -> None:
        body = wire.CopyRequest(source=source, destination=destination)
        await self._call("POST", "/nybble/copy", body)

    async def stop(self, name: str) -> None:
        """Unload a model once its requests are done."""
        await self._call("POST", "/nybble/stop", wire.NameRequest(name=name))

    # Jobs: streams that end with JobDone or raise

    def pull(self, name: str, alias: str | None = None) -> _Job:
        return self._stream("/nybble/pull", wire.PullRequest(name=name, alias=alias), _JOB)

    def verify(self, name: str) -> _Job:
        return self._stream("/nybble/verify", wire.NameRequest(name=name), _JOB)

    def quantize(self, request: wire.QuantizeRequest) -> _Job:
        return self._stream("/nybble/quantize", request, _JOB)

    def imatrix(self, request: wire.ImatrixRequest) -> _Job:
        return self._stream("/nybble/imatrix", request, _JOB)

    # Comparisons. Their types are imported where they are used: no other command waits for them

    def compare(self, request: CompareRequest) -> AsyncGenerator[CompareEvent]:
        """Events up to and with ComparisonDone. A comparison that somebody else has asked for in the same
        words is joined; one that was broken off goes on where it was."""
        from runner.wire.compare import CompareEvent

        kind: TypeAdapter[CompareEvent] = TypeAdapter(CompareEvent)
        return self._stream("/nybble/compare", request, kind)

    async def comparisons(self) -> list[ComparisonInfo]:
        """Newest first."""
        from runner.wire.compare import ComparisonInfo

        return await self._list("/nybble/comparisons", ComparisonInfo)

    async def comparison(self, number: int) -> Comparison:
        from runner.wire.compare import Comparison

        return await self._get(f"/nybble/comparisons/{number}", Comparison)

    async def exported(self, number: int, format_name: Format) -> str:
        """Rendered here: what draws stays out of the daemon. Raises UserError if it is not installed."""
        from runner.compare.export import render

        return await asyncio.to_thread(render, await self.comparison(number), format_name)

    async def all_said(self) -> str:
        """The user's chats as a text to compare with, the last conversation first."""
        from runner.compare.own_text import conversations

        return conversations([await self.session(info.id) for info in await self.sessions()])

    # Generation

    def generate(self, request: wire.GenerateRequest) -> AsyncGenerator[wire.Progressing | wire.Done]:
        """Events up to and with Done; raises RemoteError if the generation fails."""
        return self._stream("/nybble/generate", request, _GENERATION)

    async def embed(self, request: wire.EmbedRequest) -> wire.Embeddings:
        return await self._post("/nybble/embed", request, wire.Embeddings)

    # Sessions

    async def sessions(self) -> list[wire.SessionInfo]:
        """Most recently used first."""
        return await self._list("/nybble/sessions", wire.SessionInfo)

    async def session(self, session_id: int) -> wire.Session:
        return await self._get(f"/nybble/sessions/{session_id}", wire.Session)

    async def create_session(self, body: wire.SessionCreate) -> wire.SessionInfo:
        return await self._post("/nybble/sessions", body, wire.SessionInfo)

    async def update_session(self, session_id: int, body: wire.SessionUpdate) -> wire.SessionInfo:
        content = await self._call("PATCH", f"/nybble/sessions/{session_id}", body)
        return _parsed(wire.SessionInfo.model_validate_json, content)

    async def delete_session(self, session_id: int) -> None:
        await self._call("DELETE", f"/nybble/sessions/{session_id}")

    async def add_message(self, session_id: int, message: wire.SessionMessage) -> wire.SessionMessage:
        return await self._post(f"/nybble/sessions/{session_id}/messages", message, wire.SessionMessage)

    # Plumbing

    async def _stream(
        self, path: str, body: BaseModel, kind: TypeAdapter[_Event | wire.ErrorEvent]
    ) -> AsyncGenerator[_Event]:
        """Events of the daemon; an ErrorEvent is raised."""
        import httpx

        try:
            async with self._streams().stream("POST", path, content=_json(body)) as response:
                if response.is_error:
                    raise _remote(_error_body(response.status_code, await response.aread()))
                async for line in _lines(response):
                    if line:
                        event = _parsed(kind.validate_json, line)
                        if isinstance(event, wire.ErrorEvent):
                            raise _remote(event.error)
                        yield event
        except httpx.ConnectError as error:
            raise self._unreachable("does not answer") from error
        except httpx.TransportError as error:
            raise self._unreachable("broke off its answer") from error

    def _streams(self) -> httpx.AsyncClient:
        import httpx

        if self._http is None:
            # A generation may rest for as long as a model loads; only connecting has a deadline.
            timeout = httpx.Timeout(None, connect=5.0)
            headers = {"content-type": "application/json"}
            # Without TLS there is nothing to verify, and reading the system's certificates takes 40 ms.
            self._http = httpx.AsyncClient(
                base_url=self.address, headers=headers, timeout=timeout, trust_env=False, verify=False
            )
        return self._http

    async def _get(self, path: str, kind: type[_Model]) -> _Model:
        return _parsed(kind.model_validate_json, await self._call("GET", path))

    async def _list(self, path: str, kind: type[_Model]) -> list[_Model]:
        rows: TypeAdapter[list[_Model]] = TypeAdapter(list[kind])  # type: ignore[valid-type]
        return _parsed(rows.validate_json, await self._call("GET", path))

    async def _post(self, path: str, body: BaseModel, kind: type[_Model]) -> _Model:
        return _parsed(kind.model_validate_json, await self._call("POST", path, body))

    async def _call(self, method: str, path: str, body: BaseModel | None = None) -> bytes:
        """The content of the answer."""
        try:
            status, content = await exchange(self.address, method, path, _json(body) if body else b"")
        except (OSError, EOFError) as error:
            raise self._unreachable("does not answer") from error
        except ValueError as error:
            raise _not_understood() from error
        if status >= 400:
            raise _remote(_error_body(status, content))
        return content

    def _unreachable(self, what: str) -> DaemonUnreachable:
        return DaemonUnreachable(
            f"the nybble daemon at {self.address} {what}",
            hint="`nybble serve` starts it; `nybble logs` shows what it said last",
        )


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Only a newline ends one: httpx's own lines also end at what a model may write, such as U+2028."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line
    yield rest


def _json(body: BaseModel) -> bytes:
    """What UTF-8 cannot hold, as bytes of an argument in another encoding, becomes "?"."""
    try:
        return body.model_dump_json(exclude_none=True).encode()
    except PydanticSerializationError:
        text = json.dumps(body.model_dump(mode="json", exclude_none=True), ensure_ascii=False)
        return text.encode("utf-8", "replace")


def _parsed(parse: Callable[[bytes | str], _Event], data: bytes | str) -> _Event:
    try:
        return parse(data)
    except ValidationError as error:
        raise _not_understood() from error


def _not_understood() -> RemoteError:
    return RemoteError(
        "the daemon answered in a way that this version of nybble does not understand",
        hint="it may be another version: `nybble stop --daemon`, and try again",
        code="unknown_answer",
        status=502,
    )


def _error_body(status: int, content: bytes) -> wire.ErrorBody:
    try:
        return wire.ErrorBody.model_validate(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        text = f"the daemon answered {status} without saying why"
        return wire.ErrorBody(message=text, code="internal", status=status)


def _remote(body: wire.ErrorBody) -> NybbleError:
    return RemoteError(body.message, hint=body.hint, code=body.code, status=body.status)
