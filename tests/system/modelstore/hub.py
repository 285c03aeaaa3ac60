"""A hub on loopback: a real HTTP server with those parts of the API that are used, and with lies."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fakes.answering import Answering


@dataclass
class Answer:
    """How one request for a file is answered; the defaults are honest."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = '"v1"'
    body: bytes | None = None
    heeds_range: bool = True
    heeds_if_range: bool = True
    content_range: str | None = None
    states_length: bool = True
    cut_after: int | None = None
    stall_after: int | None = None


@dataclass
class Request:
    path: str
    headers: dict[str, str]


class Hub(Answering):
    """`files` of the repository `me/model`. `answers` are used up by file requests, then all is honest again.

    `stated` replaces what the listing says of a file; `listing` replaces the whole listing.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.stated: dict[str, dict[str, Any]] = {}
        self.listing: Answer | None = None
        super().__init__()

    @property
    def file_requests(self) -> list[Request]:
        return [request for request in self.requests if "/resolve/" in request.path]

    def ranges(self) -> list[str | None]:
        return [request.headers.get("range") for request in self.file_requests]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Request(path, headers))
        if path.startswith("/api/models/"):
            self._send(handler, self.listing or self._listing(path), b"{}", headers)
            return
        data = self.files.get(path.partition("/resolve/abc123/")[2])
        answer = self.answers.popleft() if self.answers else Answer()
        self._send(handler, answer if data is not None else Answer(404), data or b"", headers)

    def _listing(self, path: str) -> Answer:
        if path != "/api/models/me/model":
            return Answer(401, {"X-Error-Code": "RepoNotFound"})
        siblings = [self._sibling(name, data) for name, data in self.files.items()]
        body = {"id": "me/model", "sha": "abc123", "private": False, "tags": [], "downloads": 0, "likes": 0}
        return Answer(body=json.dumps(body | {"siblings": siblings}).encode(), etag=None)

    def _sibling(self, name: str, data: bytes) -> dict[str, Any]:
        lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        lfs |= self.stated.get(name, {})
        return {"rfilename": name, "size": lfs["size"], "blobId": "0" * 40, "lfs": lfs}

    def _send(
        self, handler: BaseHTTPRequestHandler, answer: Answer, data: bytes, headers: dict[str, str]
    ) -> None:
        body = data if answer.body is None else answer.body
        start, status = self._start(answer, len(body), headers)
        handler.send_response(answer.status or status)
        if status == 206:
            honest = f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.send_header("Content-Range", answer.content_range or honest)
        body = body[start:]
        if answer.states_length:
            handler.send_header("Content-Length", str(len(body)))
        if answer.etag:
            handler.send_header("ETag", answer.etag)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if answer.stall_after is not None:
            handler.wfile.write(body[: answer.stall_after])
            self.rest()
            return
        handler.wfile.write(body[: answer.cut_after])

    @staticmethod
    def _start(answer: Answer, size_bytes: int, headers: dict[str, str]) -> tuple[int, int]:
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        if not match or not answer.heeds_range or answer.status not in (None, 206):
            return 0, 200
        if answer.heeds_if_range and headers.get("if-range", answer.etag) != answer.etag:
            return 0, 200
        return int(match[1]), 206


@contextlib.contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Hub]:
    with contextlib.closing(Hub(files)) as hub:
        yield hub
