"""Fixtures for all tests: a fresh home, a real daemon, real models; nothing of the user's, no leftovers."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.commands import nybble_here
from tests.daemons import Daemon
from tests.models import gemma3, minilm, smollm2

__all__ = ["gemma3", "minilm", "smollm2"]

# Other programs may have the processor: an example's time says nothing.
settings.register_profile("nybble", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nybble")

_MARK = "TMPDIR"
_LEFTOVER_GRACE_S = 20


def pytest_sessionstart() -> None:
    """A shell's background job ignores Ctrl+C, and so would its children, which some tests send it to."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What is imported by now stays: looking for garbage in it takes time, again and again."""
    gc.freeze()
    gc.set_threshold(10_000, 50)


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's settings reach no test, and the session fails if a process of ours outlives it."""
    # All our children inherit TMPDIR: it marks them.
    mark = str(tmp_path_factory.mktemp("tmp"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in list(os.environ):
            if variable.startswith(("NYBBLE_", "HF_", "HUGGING_FACE_", "XDG_")):
                patch.delenv(variable)
        patch.setenv(_MARK, mark)
        # A daemon that a command starts must not meet the user's own.
        patch.setenv("NYBBLE_PORT", "0")
        yield
        processes = [process for process in psutil.process_iter() if _mark_of(process) == mark]
        _, alive = psutil.wait_procs(processes, timeout=_LEFTOVER_GRACE_S)
        # A zombie has ended; its parent, which is not us, has just not looked yet.
        commands = [command for process in alive if (command := _command_of(process))]
        for process in alive:
            process.kill()
    assert not commands, f"processes outlived the tests: {commands}"


def _mark_of(process: psutil.Process) -> str | None:
    # A process has the environment that it started with: this one has no mark.
    try:
        return process.environ().get(_MARK)
    except psutil.Error:
        return None


def _command_of(process: psutil.Process) -> list[str] | None:
    try:
        return process.cmdline()
    except psutil.Error:
        return None


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh NYBBLE_HOME, which does not exist yet.

    A daemon that a command of the test started in the background is stopped at the end.
    """
    folder = tmp_path / "home"
    monkeypatch.setenv("NYBBLE_HOME", str(folder))
    yield folder
    if (folder / "runtime" / "daemon.json").exists():
        monkeypatch.setenv("NYBBLE_HOME", str(folder))
        stopped = nybble_here("stop", "--daemon")
        assert stopped.code == 0, stopped.stderr


@pytest.fixture
def daemon(home: Path) -> Iterator[Daemon]:
    """A running daemon on `home`."""
    with Daemon(home) as running:
        yield running


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """Weights of a small real model that continues text: no chat template, context 1,024."""
    return Path(__file__).parent / "data" / "nybble-tiny-f16.gguf"
