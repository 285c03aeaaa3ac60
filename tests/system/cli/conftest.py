"""One daemon for the tests that only use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons import Daemon


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
