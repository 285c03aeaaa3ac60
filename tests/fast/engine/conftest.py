from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from native import sampler
from native.llama import Model


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """What an engine does shows on any trained model: the smaller one, of the same vocabulary, in a third of
    the time."""
    return Path(__file__).parents[2] / "data" / "nybble-tiny-draft-f16.gguf"


@pytest.fixture(scope="session")
def model(tiny_model: Path) -> Iterator[Model]:
    """One for all: weights do not change; what a test computes is in its own contexts."""
    model = Model(tiny_model, 0)
    yield model
    model.close()


@pytest.fixture(autouse=True)
def _hastened() -> None:
    """Picking is hastened as in a worker, in whatever order tests run; a test may take it back for itself."""
    sampler.hasten()
