"""Real HTTP on loopback, in threads: what its subclasses answer can be slow, cut short and full of lies."""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answering(ABC):
    """Serves from the start. `stalled` is set by a request that waits in `rest` until the server closes."""

    def __init__(self) -> None:
        self.stalled = threading.Event()
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    server.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                """Requests are in lists of the subclasses, not on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @abstractmethod
    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One GET, whole or not."""

    def rest(self) -> None:
        self.stalled.set()
        self.released.wait()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
