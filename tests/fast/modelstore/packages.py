"""A package index on loopback (PEP 503), and wheels for it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


def wheel(name: str, files: dict[str, bytes]) -> bytes:
    """A wheel `name`-1.0 that pip accepts."""
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Python: <3\n".encode()
    tags = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = files | {f"{info}/METADATA": metadata, f"{info}/WHEEL": tags}
    record = "".join(f"{path},sha256={_hash(data)},{len(data)}\n" for path, data in files.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return buffer.getvalue()


@contextlib.contextmanager
def serve(distributions: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """An index with one file per project; yields its address and the paths that were asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            project, _, file_name = self.path.removeprefix("/simple/").partition("/")
            data = distributions.get(project)
            self.send_response(200 if data else 404)
            body = data if data and file_name else f'<a href="{_file_name(project)}">file</a>'.encode()
            self.send_header("Content-Type", "application/octet-stream" if file_name else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are in the list, not on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _file_name(project: str) -> str:
    return f"{project.replace('-', '_')}-1.0-py3-none-any.whl"


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
