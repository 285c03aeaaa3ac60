"""A real daemon in a real process, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from runner import daemon_file, paths
from runner.client import Client

NYBBLE = (sys.executable, "-I", "-X", "utf8", "-m", "runner")
_READY = " serves "
_START_S = 60
_STOP_S = 60


class Daemon:
    """`nybble serve --port 0` on `home`; `environment` adds settings. A context manager.

    One compute thread and flash attention unless `environment` says otherwise: both would follow what is
    measured, logits change by rounding with them, and tests compare texts.
    """

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.paths = paths.resolve({"NYBBLE_HOME": str(home)})
        self.address = ""
        self.output: list[str] = []
        ours = {"NYBBLE_HOME": str(home), "NYBBLE_THREADS": "1", "NYBBLE_FLASH_ATTENTION": "on"}
        self._environment = {**os.environ, **ours, **(environment or {})}
        self._heard = threading.Condition()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self.process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.process.pid

    def start(self) -> Self:
        """Returns when the daemon listens."""
        self.process = subprocess.Popen(
            [*NYBBLE, "serve", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=self._environment,
        )
        self._reader.start()
        said = self._said(_READY, _START_S)
        record = daemon_file.read(self.paths.daemon_file)
        if said is None or record is None or record.pid != self.pid:
            self.stop()
            raise AssertionError("the daemon did not start:\n" + "".join(self.output))
        self.address = record.address
        return self

    def expect(self, words: str, within_s: float) -> str:
        """The first line with `words` of what it writes, as soon as there is one."""
        line = self._said(words, within_s)
        assert line, f"the daemon did not say {words!r}:\n" + "".join(self.output)
        return line

    def _said(self, words: str, within_s: float) -> str | None:
        """None if it ended, or the time was over, without such a line."""
        lines: list[str] = []

        def is_decided() -> bool:
            lines.extend(line for line in self.output if words in line)
            return bool(lines) or self._has_ended

        with self._heard:
            self._heard.wait_for(is_decided, within_s)
        return lines[0] if lines else None

    def stop(self) -> int:
        """Ask it to end, and wait; returns its exit code."""
        self.process.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended and all its output is read."""
        code = self.process.wait(_STOP_S)
        self._reader.join(_STOP_S)
        return code

    def client(self) -> Client:
        return Client(self.address)

    def add_model(self, file: Path, name: str) -> None:
        """Put the weights `file` into the store as `name`, through the API of the running daemon."""
        command = [*NYBBLE, "pull", str(file), "--as", name, "--no-start"]
        subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=60)

    def _read_output(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as output:
            for line in output:
                with self._heard:
                    self.output.append(line)
                    self._heard.notify_all()
        with self._heard:
            self._has_ended = True
            self._heard.notify_all()
