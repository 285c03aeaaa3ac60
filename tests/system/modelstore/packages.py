"""A package index on loopback (PEP 503), and wheels for it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

from tests.fakes.answering import Answering


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


class Index(Answering):
    """`files` maps project names to the one file of each; `stall` sends files by half and then waits."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, bytes]] = {}
        self.requests: list[str] = []
        self.stall = False
        super().__init__()

    @property
    def url(self) -> str:
        return f"{super().url}/simple/"

    def add(self, name: str, data: bytes, suffix: str = "-1.0-py3-none-any.whl") -> None:
        self.files[name.replace("_", "-")] = (name + suffix, data)

    def downloads(self) -> list[str]:
        """The files that were fetched."""
        return [path.rpartition("/")[2] for path in self.requests if not path.endswith("/")]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
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
            self.rest()
            return
        handler.wfile.write(body)


@contextlib.contextmanager
def serve() -> Iterator[Index]:
    with contextlib.closing(Index()) as index:
        yield index


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
