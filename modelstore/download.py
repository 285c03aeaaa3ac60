"""Downloading one file over HTTP into a partial: resumed by byte ranges, retried, never beyond its size."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import httpx

from modelstore.errors import SourceUnavailable
from modelstore.partial import Partial
from modelstore.progress import Cancelled
from modelstore.sources.remote import Report

_MAX_REDIRECTS = 10
_CANCEL_POLL_S = 0.1
_MAX_RETRY_AFTER_S = 60.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Remote:
    """`token` goes to the origin of `url` only, or its https, never to another that it redirects to."""

    url: str
    size_bytes: int
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient to be. `attempts` count anew whenever one of them brought at least `progress_bytes`."""

    attempts: int = 6
    backoff_s: float = 1.0
    max_backoff_s: float = 16.0
    connect_s: float = 15.0
    stall_s: float = 30.0
    progress_bytes: int = 1024 * 1024


class _Retry(Exception):
    """This attempt failed; another may do better, after `wait_s` if the server asked for that."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def download(remote: Remote, partial: Partial, policy: Policy, report: Report, cancelled: Event) -> None:
    """Brings `partial` to `remote.size_bytes`. Raises SourceUnavailable, StorageFull or Cancelled.

    It may be called in any thread without a running event loop.
    """
    failures = 0
    while partial.size_bytes < remote.size_bytes:
        before_bytes = partial.size_bytes
        try:
            asyncio.run(_until_cancelled(_attempt(remote, partial, policy, report), cancelled))
        except _Retry as error:
            failures = 0 if partial.size_bytes - before_bytes >= policy.progress_bytes else failures
            failures += 1
            if failures >= policy.attempts:
                raise SourceUnavailable(
                    f"Download from {_host(remote.url)} failed {failures} times: {error}",
                    hint="What has arrived is kept: repeat the command to go on.",
                ) from error
            backoff_s = min(policy.backoff_s * 2 ** (failures - 1), policy.max_backoff_s)
            if cancelled.wait(max(backoff_s, error.wait_s)):
                raise Cancelled from error


async def _until_cancelled(work: Coroutine[Any, Any, None], cancelled: Event) -> None:
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=_CANCEL_POLL_S)
        if cancelled.is_set() and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise Cancelled
    task.result()


async def _attempt(remote: Remote, partial: Partial, policy: Policy, report: Report) -> None:
    timeout = httpx.Timeout(policy.stall_s, connect=policy.connect_s)
    try:
        async with httpx.AsyncClient(timeout=timeout) as client, _open(client, remote, partial) as response:
            _prepare(response, remote, partial)
            async for chunk in response.aiter_raw():
                room_bytes = remote.size_bytes - partial.size_bytes
                partial.write(chunk[:room_bytes])
                report(partial.size_bytes)
                if len(chunk) > room_bytes:
                    partial.restart(None)
                    raise SourceUnavailable(f"{_host(remote.url)} sent more bytes than the stated size")
    except httpx.TimeoutException as error:
        raise _Retry("the server stopped sending") from error
    except httpx.TransportError as error:
        raise _Retry(str(error) or type(error).__name__) from error
    if partial.size_bytes < remote.size_bytes:
        raise _Retry(f"the connection ended after {partial.size_bytes} of {remote.size_bytes} bytes")


@asynccontextmanager
async def _open(client: httpx.AsyncClient, remote: Remote, partial: Partial) -> AsyncIterator[httpx.Response]:
    """The first response that is no redirect. By hand: httpx itself would read the bodies of redirects."""
    request = client.build_request("GET", remote.url, headers=_headers(remote, partial))
    for _ in range(_MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        try:
            if response.next_request is None:
                yield response
                return
            # Without the token where that is another origin.
            request = response.next_request
            _check_redirect(response.url, request.url)
        finally:
            await response.aclose()
    raise SourceUnavailable(f"{_host(remote.url)} redirects more than {_MAX_REDIRECTS} times")


def _headers(remote: Remote, partial: Partial) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    if partial.size_bytes and _is_strong(partial.validator):
        headers["Range"] = f"bytes={partial.size_bytes}-"
        headers["If-Range"] = partial.validator or ""
    return headers


def _prepare(response: httpx.Response, remote: Remote, partial: Partial) -> None:
    """Makes the partial ready for the body: unchanged for the rest of the same version, else empty."""
    _check_status(response, remote, partial)
    host, etag = response.url.host, response.headers.get("etag")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise SourceUnavailable(f"{host} sent an encoded file though none was asked for")
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        if not _is_what_follows(response, remote, partial):
            partial.restart(None)
            raise _Retry(f"{host} sent another part, or another version, than was asked for")
        return
    length = response.headers.get("content-length")
    if length is not None and length != str(remote.size_bytes):
        raise SourceUnavailable(
            f"{host} offers {length[:20]} bytes instead of the stated {remote.size_bytes}"
        )
    partial.restart(etag if _is_strong(etag) else None)


def _is_what_follows(response: httpx.Response, remote: Remote, partial: Partial) -> bool:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    expected = (partial.size_bytes, remote.size_bytes - 1, remote.size_bytes)
    return (
        "range" in response.request.headers
        and match is not None
        and tuple(map(int, match.groups())) == expected
        and response.headers.get("etag") == partial.validator
    )


def _check_status(response: httpx.Response, remote: Remote, partial: Partial) -> None:
    status, host = response.status_code, response.url.host
    if status in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        return
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and partial.size_bytes:
        partial.restart(None)
        raise _Retry(f"{host} has a shorter file than before")
    # A signed address may have expired on the way: the origin gives a new one.
    is_expired = status in (401, 403, 410) and _origin(response.url) != _origin(httpx.URL(remote.url))
    if status in _RETRIED or is_expired:
        raise _Retry(f"{host} answered {status}", _retry_after_s(response))
    if status in (401, 403):
        raise SourceUnavailable(
            f"{host} refuses access ({status})",
            hint="Accept the model's terms on its page if it has any, and set HF_TOKEN.",
        )
    raise SourceUnavailable(f"{host} answered {status}")


def _check_redirect(url: httpx.URL, target: httpx.URL) -> None:
    """To http and https only, never back from https, and with no credentials inside."""
    is_allowed = target.scheme == "https" or target.scheme == url.scheme == "http"
    if not is_allowed or not target.host or target.userinfo:
        raise SourceUnavailable(f"{url.host} redirects to a place that is not allowed")


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), _MAX_RETRY_AFTER_S) if re.fullmatch(r"\d{1,9}", text) else 0.0


def _is_strong(etag: str | None) -> bool:
    return etag is not None and re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) is not None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _host(url: str) -> str:
    return httpx.URL(url).host
