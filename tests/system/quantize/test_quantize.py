"""Quantizing for real, with llama.cpp in its child process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import psutil
import pytest

from modelstore.errors import Conflict, Unusable, UserError
from modelstore.gguf import read_header
from modelstore.gguf_types import FILE_TYPES
from modelstore.header import Header
from modelstore.manifests import Manifest
from modelstore.progress import Cancelled, Progress
from modelstore.pull import pull
from modelstore.quantize import Request, quantize
from modelstore.sources.huggingface import HubOptions
from modelstore.store import Store


@pytest.fixture
def store(tmp_path: Path, tiny_model: Path) -> Store:
    """A store with the F16 model `tiny`."""
    store = Store(tmp_path / "store")
    pull(store, str(tiny_model), "tiny", HubOptions(), ignore, Event())
    return store


def ignore(_progress: Progress) -> None:
    pass


def make(store: Store, name: str, quantization: str, force: bool = False) -> Manifest:
    return quantize(store, Request(name, quantization, force=force), ignore, Event())


def header_of(store: Store, manifest: Manifest) -> Header:
    with store.check(manifest).open("rb") as stream:
        return read_header(stream, manifest.size_bytes)


def partials(store: Store) -> list[Path]:
    return list(store.root.glob("partial/*.partial"))


@pytest.mark.parametrize(
    "quantization, size_bytes, types",
    [
        ("q8_0", 7_535_360, {"F32", "Q8_0"}),
        ("Q4_K_M", 4_786_432, {"F32", "Q4_K", "Q6_K"}),
    ],
)
def test_size_and_types_are_llama_cpps(
    store: Store, quantization: str, size_bytes: int, types: set[str]
) -> None:
    made = make(store, "tiny", quantization)
    header = header_of(store, made)
    assert made.name == f"tiny:{quantization.lower()}"
    assert made.size_bytes == size_bytes
    assert made.quantization == header.quantization == quantization.upper()
    assert {tensor.type for tensor in header.tensors} == types
    assert (made.derived_from, made.source) == ("tiny:latest (F16)", "quantized")
    assert (made.license, made.parameter_count) == ("apache-2.0", 6_819_072)
    assert store.get("tiny").size_bytes == 13_925_056
    assert not partials(store)


def test_progress_reaches_all_weights(store: Store) -> None:
    seen: list[Progress] = []
    quantize(store, Request("tiny", "Q8_0"), seen.append, Event())
    converting = [each for each in seen if each.phase == "quantizing"]
    done = [each.completed_bytes or 0 for each in converting]
    assert done == sorted(done) and done[0] == 0 and done[-1] == converting[-1].total_bytes == 13_644_800
    assert [each.phase for each in seen][-1] == "writing manifest"


def test_four_bits_are_refused_unless_forced_and_then_marked(store: Store) -> None:
    make(store, "tiny", "Q4_K_M")
    with pytest.raises(Unusable, match="Q4_K_M already") as refusal:
        make(store, "tiny:q4_k_m", "F16")
    assert "--force" in (refusal.value.hint or "")
    made = make(store, "tiny:q4_k_m", "F16", force=True)
    assert made.derived_from == "tiny:q4_k_m (Q4_K_M, dequantized)"
    assert made.name == "tiny:f16"
    assert {tensor.type for tensor in header_of(store, made).tensors} == {"F16", "F32"}


def test_eight_bits_may_be_requantized_under_a_chosen_name(store: Store) -> None:
    make(store, "tiny", "Q8_0")
    made = quantize(store, Request("tiny:q8_0", "Q5_0", "small"), ignore, Event())
    assert (made.name, made.derived_from) == ("small:latest", "tiny:q8_0 (Q8_0, requantized)")


def test_a_tag_that_says_more_is_kept(store: Store) -> None:
    store.copy("tiny", "tiny:v2")
    assert make(store, "tiny:v2", "Q4_0").name == "tiny:v2-q4_0"


def test_types_that_cannot_be_made(store: Store) -> None:
    with pytest.raises(UserError, match="'Q4_K_X' is no quantization") as unknown:
        make(store, "tiny", "Q4_K_X")
    assert "Q4_K_M" in (unknown.value.hint or "")
    with pytest.raises(Unusable, match="IQ1_S needs an importance matrix") as needy:
        make(store, "tiny", "IQ1_S")
    assert needy.value.status == 422
    assert [each.name for each in store.models()] == ["tiny:latest"]
    assert not partials(store)


def test_a_model_does_not_replace_itself(store: Store) -> None:
    with pytest.raises(Conflict, match="replace itself"):
        quantize(store, Request("tiny", "Q8_0", "tiny"), ignore, Event())


def test_cancel_kills_the_child(store: Store) -> None:
    cancelled = Event()
    before = set(psutil.Process().children())
    children: list[psutil.Process] = []
    completed: list[Progress] = []

    def emit(progress: Progress) -> None:
        if progress.detail and progress.detail.endswith(".weight") and not cancelled.is_set():
            children.extend(set(psutil.Process().children()) - before)
            cancelled.set()
            psutil.wait_procs(children, timeout=60)
        elif progress.completed_bytes and progress.completed_bytes == progress.total_bytes:
            completed.append(progress)

    with pytest.raises(Cancelled):
        quantize(store, Request("tiny", "IQ4_XS"), emit, cancelled)
    assert len(children) == 1 and not children[0].is_running()
    assert not completed, "the child ran on to its end"
    assert not partials(store) and len(store.models()) == 1


_PARENT = """
import sys, psutil
from threading import Event
from pathlib import Path
from modelstore.quantize import Request, quantize
from modelstore.store import Store

def emit(progress):
    if progress.detail and progress.detail.endswith(".weight"):
        print(psutil.Process().children()[0].pid, flush=True)

quantize(Store(Path(sys.argv[1])), Request("tiny", "IQ4_XS"), emit, Event())
"""


def test_the_child_does_not_outlive_its_parent(store: Store) -> None:
    arguments = [sys.executable, "-c", _PARENT, str(store.root)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        before_s = computed_s(child)
        parent.kill()
    while is_alive(child):
        assert computed_s(child) < before_s + 1
        Event().wait(0.02)


_LIMITED = """
import resource, sys
from threading import Event
from pathlib import Path
from modelstore.imatrix import Reading, collect
from modelstore.quantize import Request, quantize
from modelstore.store import Store

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
store, ignore = Store(Path(sys.argv[1])), lambda progress: None
for make in (
    lambda: quantize(store, Request("tiny", "Q8_0"), ignore, Event()),
    lambda: collect(store.check(store.get("tiny")), Reading(("a",), "abc " * 60, chunk_tokens=32),
                    store.root / "i.gguf", ignore, Event()),
):
    try:
        make()
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="Windows has no limit on the size of files")
def test_a_disk_that_fills_up_is_called_that(store: Store) -> None:
    """The limit on file sizes stands for the full disk: the write really fails in the kernel, half-way."""
    arguments = [sys.executable, "-c", _LIMITED, str(store.root)]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=False)
    said = finished.stdout.splitlines()
    assert len(said) == 2 and all(line.startswith("StorageFull No space left to write") for line in said), (
        finished
    )
    assert not partials(store) and len(store.models()) == 1 and not (store.root / "i.gguf").exists()


def computed_s(process: psutil.Process) -> float:
    """0 once it is gone."""
    try:
        return float(process.cpu_times().user)
    except psutil.NoSuchProcess:
        return 0.0


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_labels_are_those_of_the_engine() -> None:
    import llama_cpp.llama_cpp as api

    prefixes = ("LLAMA_FTYPE_MOSTLY_", "LLAMA_FTYPE_ALL_")
    engine = {
        value: name.removeprefix(prefix)
        for name, value in vars(api).items()
        for prefix in prefixes
        if name.startswith(prefix)
    }
    assert engine == FILE_TYPES
