"""Every failure as the body that the dialect of its path expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from modelstore.errors import NybbleError, UserError
from runner import wire
from runner.errors import Overloaded

_LONGEST_NAME = 200


class BadField(UserError):
    """A field of the request has a wrong value; `field` is its name as the client spells it."""

    def __init__(self, field: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{field}: {problem}", hint=hint)
        self.field = field


class Unsupported(UserError):
    """The request asks for something that this version does not have."""

    code = "unsupported"

    def __init__(self, field: str, model: str, what: str) -> None:
        # Clients of Ollama look for the words `"NAME" does not support`.
        super().__init__(
            f'"{model[:_LONGEST_NAME]}" does not support {what}',
            hint=f"Leave out `{field}`: this version of nybble has no {what}",
        )
        self.field = field


class Refused(NybbleError):
    """The request ended before it reached a route: unknown path, wrong host, body too large."""

    def __init__(self, status: int, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code


INTERNAL = NybbleError(
    "nybble failed in a way it should not have", hint="The reason is in its log: nybble logs"
)


class NybbleAnswer(BaseModel):
    error: wire.ErrorBody


class OllamaAnswer(BaseModel):
    error: str


class OpenAIError(BaseModel):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIAnswer(BaseModel):
    error: OpenAIError


class AnthropicError(BaseModel):
    type: str
    message: str


class AnthropicAnswer(BaseModel):
    type: Literal["error"] = "error"
    error: AnthropicError


_ANTHROPIC_TYPES = {
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    503: "overloaded_error",
}
# Those that clients put together from a base URL.
_ROUTES = (
    *("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/messages"),
    *("/api/chat", "/api/generate", "/api/embed", "/api/tags", "/api/show"),
)
_INSTEAD = {
    "/v1/responses": "Ask /v1/chat/completions: clients that know both have a setting for it",
    "/api/create": "Files come in with `nybble pull FILE --as NAME`",
}


def nybble_answer(error: NybbleError) -> NybbleAnswer:
    return NybbleAnswer(error=wire.ErrorBody.model_validate(error, from_attributes=True))


def ollama_answer(error: NybbleError) -> OllamaAnswer:
    return OllamaAnswer(error=_sentence(error))


def openai_answer(error: NybbleError) -> OpenAIAnswer:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    field = getattr(error, "field", None)
    return OpenAIAnswer(error=OpenAIError(message=_sentence(error), type=kind, param=field, code=error.code))


def anthropic_answer(error: NybbleError) -> AnthropicAnswer:
    other = "invalid_request_error" if error.status < 500 else "api_error"
    kind = _ANTHROPIC_TYPES.get(error.status, other)
    return AnthropicAnswer(error=AnthropicError(type=kind, message=_sentence(error)))


# By how a path begins: the first that fits.
_ANSWERS: tuple[tuple[tuple[str, ...], Callable[[NybbleError], BaseModel]], ...] = (
    (("/v1/messages",), anthropic_answer),
    (("/v1/", "/v2/", "/rerank"), openai_answer),
    (("/nybble/",), nybble_answer),
    (("",), ollama_answer),
)


def _sentence(error: NybbleError) -> str:
    """Message and hint in one, for dialects that have one field for both."""
    if not error.hint:
        return error.message
    return f"{error.message}. {error.hint[0].upper()}{error.hint[1:]}"


def response(path: str, error: NybbleError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request for `path` that failed before its answer began."""
    answer = next(each for beginnings, each in _ANSWERS if path.startswith(beginnings))
    headers = dict(headers or {})
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(answer(error).model_dump(), error.status, headers)


def install(app: FastAPI) -> None:
    """Make every exception of a route an answer in the dialect of its path."""

    @app.exception_handler(NybbleError)
    async def known(request: Request, error: NybbleError) -> JSONResponse:
        return response(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return response(request.url.path, _explain(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "no_such_route", 405: "method_not_allowed"}
        code = codes.get(error.status_code, UserError.code)
        path = request.url.path
        meant = _meant(path) if error.status_code == 404 else None
        hint = f"{meant} is there: look at the client's base URL" if meant else _INSTEAD.get(path)
        refusal = Refused(error.status_code, code, f"{request.method} {path}: {error.detail}", hint=hint)
        return response(meant or path, refusal, error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises the exception again afterwards, so that uvicorn logs its traceback.
        return response(request.url.path, INTERNAL)


def _meant(path: str) -> str | None:
    """The route of a client whose base URL has too much or too little."""
    return next((route for route in _ROUTES if path.endswith(route) or route.endswith(path)), None)


def _explain(problem: Mapping[str, Any]) -> UserError:
    """One entry of pydantic's list of problems, as an error that names the field."""
    place, *path = problem["loc"]
    if not path:
        missing = problem["type"] == "missing"
        return UserError("missing request body" if missing else f"the {place} must be a JSON object")
    return BadField(spell(path), says(problem))


def spell(path: list[str | int]) -> str:
    """`["messages", 0, "role"]` as `messages[0].role`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def says(problem: Mapping[str, Any]) -> str:
    message: str = problem["msg"]
    return message.removeprefix("Value error, ")
