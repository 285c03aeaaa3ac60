"""A package index on loopback (PEP 503), and wheels for it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


def wheel(name: str, files: dict[str, bytes]) -> bytes:
    """A wheel `name`-1.0 that pip accepts."""
    info = f"{name}-1.0.dist-info"
    facts = f"Name: {name}\nVersion: 1.0\nRequires-Python: <3\nRequires-Dist: a-dependency\n"
    metadata = f"Metadata-Version: 2.1\n{facts}".encode()
    tags = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = files | {f"{info}/METADATA": metadata, f"{info}/WHEEL": tags}
    record = "".join(f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in files.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return buffer.getvalue()


def source_distribution(name: str, setup: str) -> bytes:
    """A source distribution whose build would run `setup`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, text in {"setup.py": setup, "PKG-INFO": f"Name: {name}\nVersion: 1.0\n"}.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Index:
    """`files` maps project names to the one file of each; `stall` sends files by half and then waits."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.requests: list[str] = []
        self.stall = False
        self.stalled = Event()
        self._released = Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    index._answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                """Requests are in the list, not on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/simple/"

    def add(self, name: str, data: bytes, suffix: str = "-1.0-py3-none-any.whl") -> None:
        self.files[name.replace("_", "-")] = (name + suffix, data)

    def downloads(self) -> list[str]:
        """The files that were fetched."""
        return [path.rpartition("/")[2] for path in self.requests if not path.endswith("/")]

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append(handler.path)
        project, _, wanted = handler.path.removeprefix("/simple/").partition("/")
        file_name, data = self.files.get(project, ("", b""))
        handler.send_response(200 if file_name else 404)
        body = data if wanted else f'<a href="{file_name}">file</a>'.encode()
        handler.send_header("Content-Type", "application/octet-stream" if wanted else "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if wanted and self.stall:
            handler.wfile.write(body[: len(body) // 2])
            self.stalled.set()
            self._released.wait()
            return
        handler.wfile.write(body)


@contextlib.contextmanager
def serve() -> Iterator[Index]:
    index = Index()
    try:
        yield index
    finally:
        index.close()


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
