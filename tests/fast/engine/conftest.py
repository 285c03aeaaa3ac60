from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """What an engine does shows on any trained model: the smaller one, of the same vocabulary, in a third of
    the time."""
    return Path(__file__).parents[2] / "data" / "nybble-tiny-draft-f16.gguf"
