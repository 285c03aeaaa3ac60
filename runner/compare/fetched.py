"""Hub files that are here for one comparison only: under tags of their own, so that whoever pulls the same
file meanwhile keeps it, and so that what a killed comparison has left is known by its name."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from modelstore.store import Store
from runner.client import Client
from runner.errors import RemoteError

_TAG = re.compile(r"comparing-([0-9a-f]{16}):.*")


def temporary_tag(folder: Path, name: str) -> str:
    """What the file of a hub `name` is called while the comparison of that `folder` has it."""
    return f"comparing-{folder.name}:{name.rpartition(':')[2]}"


def is_temporary(tag: str) -> bool:
    return _TAG.fullmatch(tag) is not None


def sweep(store: Store, cache: Path, daemon: str) -> None:
    """Remove what killed comparisons have left: those that run have their folders in `cache`."""
    for each in store.models():
        if (match := _TAG.fullmatch(each.name)) and not (cache / match[1]).exists():
            remove(daemon, each.name)


def remove(daemon: str, tag: str) -> None:
    """Through the `daemon`, which forgets what is removed. What it does not remove is no reason to lose what
    was measured."""
    with contextlib.suppress(RemoteError):
        asyncio.run(_remove(daemon, tag))


async def _remove(daemon: str, tag: str) -> None:
    async with Client(daemon) as client:
        await client.remove(tag)
