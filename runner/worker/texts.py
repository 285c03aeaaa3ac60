"""Texts that take long to tokenize are read beside the engine: its streams go on meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from runner.protocol import Embed, Generate
from runner.worker.pipes import Inbox
from runner.worker.refused import Cancelled

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_SHORT_CHARACTERS = 2**14
"""So many are tokenized in 3 to 20 ms, no longer than a step; 1 MiB of blanks takes five seconds."""


class _Engine(Protocol):
    """What is taken of one: a request must be of its kind."""

    def read(self, request: Any) -> Any: ...
    def submit(self, request: Any, tokens: Callable[[], Any] | None = None) -> None: ...
    def cancel(self, request_id: str) -> None: ...


class Texts:
    """Hands requests to the engine as they come; those with long texts once these are tokenized, one after
    the other, in a thread that only touches the vocabulary. Its results come through the inbox."""

    def __init__(self, engine: _Engine, inbox: Inbox) -> None:
        self._engine = engine
        self._inbox = inbox
        self._unread: dict[str, Generate | Embed] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._last: Future[Any] | None = None

    @property
    def is_reading(self) -> bool:
        return self._last is not None and not self._last.done()

    def submit(self, request: Generate | Embed) -> None:
        if request.characters <= _SHORT_CHARACTERS:
            self._engine.submit(request)
            return
        if self._pool is None:
            # Most workers never need it.
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1)
        self._unread[request.request_id] = request
        self._last = self._pool.submit(self._read, request)
        self._last.add_done_callback(lambda read: self._inbox.put(partial(self._take, request, read.result)))

    def cancel(self, request_id: str) -> None:
        if request := self._unread.pop(request_id, None):
            self._engine.submit(request, _cancelled)
        else:
            self._engine.cancel(request_id)

    def close(self) -> None:
        """Ends the process if a text is being read: the model must not be freed beneath it."""
        if self.is_reading:
            os._exit(0)

    def _take(self, request: Generate | Embed, tokens: Callable[[], Any]) -> None:
        """What was read of a cancelled request is dropped."""
        if self._is_wanted(request):
            del self._unread[request.request_id]
            self._engine.submit(request, tokens)

    def _is_wanted(self, request: Generate | Embed) -> bool:
        return self._unread.get(request.request_id) is request

    def _read(self, request: Generate | Embed) -> object:
        return self._engine.read(request) if self._is_wanted(request) else None


def _cancelled() -> None:
    raise Cancelled
