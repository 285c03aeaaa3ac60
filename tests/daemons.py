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
_START_S = 30
_STOP_S = 20


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
        self._announced = threading.Event()
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
        self._announced.wait(_START_S)
        record = daemon_file.read(self.paths.daemon_file)
        if record is None or record.pid != self.pid:
            self.stop()
            raise AssertionError("the daemon did not start:\n" + "".join(self.output))
        self.address = record.address
        return self

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
        # Also wakes `start` at the end of the output: then the daemon has ended.
        assert self.process.stderr is not None
        with self.process.stderr as output:
            for line in output:
                self.output.append(line)
                if _READY in line:
                    self._announced.set()
        self._announced.set()
