"""The two larger real models, pulled once per machine with our own `pull`; failing that, tests fail."""

from __future__ import annotations

import contextlib
from pathlib import Path
from threading import Event

import platformdirs
import pytest
from filelock import FileLock

from modelstore.errors import NybbleError
from modelstore.pull import PullOptions, pull
from modelstore.store import Store


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Weights of SmolLM2-135M-Instruct, Q4_1: a chat model."""
    return _weights("smollm2:135m")


@pytest.fixture(scope="session")
def gemma3() -> Path:
    """Weights of Gemma 3 270M, Q4_K_M: a base model without chat template, with sliding-window attention."""
    return _weights("gemma3:270m")


def _weights(name: str) -> Path:
    folder = Path(platformdirs.user_cache_dir("nybble-tests"))
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder / "store")
    with FileLock(folder / "pull.lock"):
        with contextlib.suppress(NybbleError):  # absent or damaged: pull
            return store.check(store.get(name))
        try:
            return store.check(pull(store, name, None, PullOptions(), lambda progress: None, Event()))
        except NybbleError as error:
            pytest.fail(f"{name} cannot be had here: {error.message} {error.hint or ''}", pytrace=False)
