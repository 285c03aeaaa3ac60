"""Ends the daemons that commands started in the background."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import nybble


@pytest.fixture(autouse=True)
def background_daemon_ends(home: Path) -> Iterator[None]:
    yield
    if (home / "runtime" / "daemon.json").exists():
        stopped = nybble("stop", "--daemon")
        assert stopped.code == 0, stopped.stderr
