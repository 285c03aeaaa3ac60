"""Leaving the service: nothing of ours goes on, and nothing begins any more."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from runner import paths, wire
from runner.errors import Overloaded
from runner.instance import Instance, prefix_path
from runner.service import Service
from runner.settings import Settings


async def test_no_model_is_loaded_for_a_request_that_looks_away(home: Path, tiny_model: Path) -> None:
    """A client that reads slowly has not heard that its request has failed: it still counts as waiting."""
    before = set(psutil.Process().children())  # other tests' daemons, which may be ending
    async with Service(paths.resolve(), Settings()) as service:
        async for _ in service.pull(wire.PullRequest(name=str(tiny_model), alias="tiny")):
            pass
        events = service.generate(wire.GenerateRequest(model="tiny", prompt="Once"))
        assert isinstance(await anext(events), wire.Queued)
        assert [model.state for model in service.loaded()] == ["loading"]
    assert service.loaded() == []
    assert set(psutil.Process().children()) <= before
    with pytest.raises(Overloaded):
        async for _ in events:
            pass


async def test_a_model_is_unloaded_before_its_weights_and_all_made_with_them_go(
    home: Path, tmp_path: Path, tiny_model: Path
) -> None:
    """Windows deletes no file that is in use. Of the user's own file a link goes, which frees nothing."""
    file = shutil.copy(tiny_model, tmp_path)
    async with Service(paths.resolve(), Settings()) as service:
        async for _ in service.pull(wire.PullRequest(name=str(file), alias="tiny")):
            pass
        async for _ in service.generate(wire.GenerateRequest(model="tiny")):
            pass
        (loaded,) = service.loaded()
        assert loaded.pid is not None
        prefixes = prefix_path(service.paths.cache, Instance(loaded.digest), None)
        # The worker may have made it already: it writes what it computed while nobody waits.
        prefixes.mkdir(parents=True, exist_ok=True)
        assert (await service.remove("tiny")).freed_bytes == 0
        assert not prefixes.exists()
        assert not psutil.pid_exists(loaded.pid)
        assert not list((home / "store" / "blobs").iterdir())


async def test_no_job_begins(home: Path, tiny_model: Path) -> None:
    async with Service(paths.resolve(), Settings()) as service:
        pass
    with pytest.raises(Overloaded):
        async for _ in service.pull(wire.PullRequest(name=str(tiny_model), alias="tiny")):
            pass
