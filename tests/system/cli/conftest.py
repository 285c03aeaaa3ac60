"""Daemons for tests of commands: one for all tests that only use it, and scripted ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import daemon_file, paths
from tests.daemons import Daemon
from tests.fakes.daemon import FakeDaemon, running


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Daemon]:
    """A daemon whose store has the small model as "tiny"."""
    with Daemon(tmp_path_factory.mktemp("shared") / "home") as daemon:
        daemon.add_model(tiny_model, "tiny")
        yield daemon


@pytest.fixture
def shared(home: Path, shared_daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The shared daemon, as the one that commands of this test talk to."""
    monkeypatch.setenv("NYBBLE_HOME", str(shared_daemon.home))
    return shared_daemon


@pytest.fixture
def fake(home: Path) -> Iterator[FakeDaemon]:
    """A scripted daemon, as the one that commands of this test find."""
    places = paths.resolve({"NYBBLE_HOME": str(home)})
    for daemon in running(home.parent):
        daemon.store = places.store
        places.daemon_file.parent.mkdir(parents=True)
        daemon_file.write(places.daemon_file, daemon_file.DaemonRecord(0, daemon.address, "0"))
        yield daemon
        # No real daemon is to be stopped at the end.
        places.daemon_file.unlink()
