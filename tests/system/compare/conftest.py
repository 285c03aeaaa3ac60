"""A daemon whose store has four files of one small model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from modelstore.pull import pull
from modelstore.quantize import Request, quantize
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from tests.daemons import Daemon

QUANTIZATIONS = ("Q8_0", "Q4_K_M", "Q2_K")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A store with `tiny` in F16 and QUANTIZATIONS."""
    folder = tmp_path_factory.mktemp("library") / "store"
    store = Store(folder)
    pull(store, str(tiny_model), "tiny", HubOptions(), lambda _: None, Event())
    for quantization in QUANTIZATIONS:
        quantize(store, Request("tiny", quantization), lambda _: None, Event())
    return folder


@pytest.fixture
def store(home: Path, library: Path) -> Store:
    """The test's own copy, before its daemon starts."""
    shutil.copytree(library, home / "store")
    return Store(home / "store")


@pytest.fixture
def compared(home: Path, store: Store) -> Iterator[Daemon]:
    with Daemon(home) as running:
        yield running
