"""A client's connection, which ends if the client does not ask, or stops reading its answer."""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.h11_impl import H11Protocol

_log = logging.getLogger(__name__)


class Connection(H11Protocol):
    """Cut when the first request has not come in `unasked_s`, since systems allow a process few connections;
    and when `unread_s` have passed in which nothing of a waiting answer could be sent, since what waits holds
    a slot. To what sends the answer, the client has left.

    What the client's system takes in for it, often megabytes, has been sent.
    """

    unasked_s = 30.0
    unread_s = 300.0
    _unasked: asyncio.TimerHandle
    _watching: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unasked = self.loop.call_later(self.unasked_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None:
            self._unasked.cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unasked.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def _watch(self, waited_bytes: int | None = None) -> None:
        waiting_bytes = self.transport.get_write_buffer_size()
        if waiting_bytes == waited_bytes:
            _log.warning("a client read nothing of its answer for %g s: connection closed", self.unread_s)
            self.transport.abort()
            return
        self._watching = self.loop.call_later(self.unread_s, self._watch, waiting_bytes)
